"""Where a version's code and data come from, as far as the rules ask: kept in the event of its registration."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flywheel.documents import read_document
from flywheel.errors import IntegrityError, SpecError
from flywheel.identities import SERVICES
from flywheel.package import INSIDE, Lineage
from flywheel.policy import Policy
from flywheel.usecase import load_usecase
from registry.policy.facts import Contributors


@dataclass(frozen=True)
class Origin:
    """The part of a package's lineage that four eyes and robots are judged by.

    Args:
        commit: None outside a repository.
        dirty: Whether uncommitted changes went in.
        code: Digests of feature function, use case and lock of the environment.
        as_of: Of the data: nothing later was used (ISO, UTC).
        parent: The version that was champion when this one was trained.
        contributors: Addresses of who wrote the commits since `since`.
        since: The commit of `parent`; None: all commits.
        unknown: Why not all contributors are known; '' when they are.
        gates: That the use case requires beside the policy's.
    """

    commit: str | None = None
    dirty: bool | None = None
    code: tuple[str, ...] = ()
    as_of: str = ""
    parent: str | None = None
    contributors: tuple[str, ...] = ()
    since: str | None = None
    unknown: str = "it holds no lineage that Flywheel's training wrote"
    gates: tuple[str, ...] = ()

    def body(self) -> dict[str, Any]:
        """Return it as plain JSON, for an event."""
        return {name: list(part) if isinstance(part, tuple) else part for name, part in asdict(self).items()}


def read_origin(folder: Path) -> Origin:
    """Read the lineage in a version's folder; a model that is no package of ours has an unknown origin."""
    path, gates = folder / INSIDE / "lineage.json", _gates(folder)
    if not path.is_file():
        return Origin(gates=gates)
    try:
        lineage = read_document(path, Lineage)
    except IntegrityError as fault:
        return Origin(unknown=f"its lineage cannot be read ({str(fault).splitlines()[0].rstrip('.')})", gates=gates)
    return Origin(
        commit=lineage.git_commit,
        dirty=lineage.git_dirty,
        code=(lineage.features_digest, lineage.usecase_digest, lineage.lock_digest),
        as_of=lineage.as_of.isoformat(),
        parent=lineage.parent,
        contributors=lineage.contributors,
        since=lineage.contributors_since,
        unknown=lineage.contributors_unknown,
        gates=gates,
    )


def _gates(folder: Path) -> tuple[str, ...]:
    try:
        return tuple(load_usecase(folder / INSIDE / "usecase.yaml").gates.required)
    except SpecError:  # none, or a damaged one: then the policy's gates say so
        return ()


def origin_of(body: Mapping[str, Any]) -> Origin:
    """Read the origin from the body of `version.created`; older ones have none."""
    kept = body.get("origin")
    if not isinstance(kept, dict):
        return Origin(unknown="it was registered by an earlier release, which did not record them")
    known: dict[str, Any] = {name: tuple(part) if isinstance(part, list) else part for name, part in kept.items()}
    return Origin(**known)


def contributors(origin: Origin, makers: Iterable[str], parent: Origin | None, policy: Policy) -> Contributors:
    """Tell who made a version, beside its author.

    Args:
        origin: Of the version.
        makers: Logins that logged its bytes, or made the version that it is a copy of.
        parent: Origin of the version that it names as parent, if that one was ever approved.
        policy: Its people say under which addresses git knows them.
    """
    named = {address: policy.person_of(address) for address in origin.contributors}
    people = {person for person in named.values() if person is not None}
    people |= policy.people.keys() & set(makers)
    strangers = tuple(sorted(address for address, person in named.items() if person is None))
    return Contributors(frozenset(people), strangers, _unknown(origin, parent))


def _unknown(origin: Origin, parent: Origin | None) -> str:
    if origin.unknown or origin.since is None:
        return origin.unknown
    if parent is None:
        return f"its commits are counted from version {origin.parent}, which was never approved"
    if parent.commit != origin.since:
        return f"its commits are counted from {origin.since[:12]}, which is not the commit of version {origin.parent}"
    return ""


def not_a_patch(author: str | None, origin: Origin, champion: Origin | None) -> str:
    """Return why a version is no patch (a service trained the champion's code again on newer data); '' when it is."""
    if author not in SERVICES:
        return f"{author or 'nobody known'} made it, who is no service"
    if champion is None:
        return "there is no champion to compare it with"
    if not origin.commit or origin.commit != champion.commit:
        return "its commit is not the champion's"
    return _differs(origin, champion)


def _differs(origin: Origin, champion: Origin) -> str:
    if origin.dirty or champion.dirty:
        return "uncommitted changes went into it or into the champion"
    if not all(origin.code) or origin.code != champion.code:
        return "its features, use case or environment are not the champion's"
    if origin.as_of <= champion.as_of:
        return "its data are not newer than the champion's"
    return ""
