"""What a service may train without a person: the champion's code and environment again, on newer data.

Monitoring trains with `-P like=champion`. Before anything is read or searched the commit, the feature function, the use
case and the environment here are compared with those of the champion, which people have approved; before anything is
searched, the newest labelled row with its newest. The champion is read as every training reads it: under the login of
whoever trains, by the alias that only the registry's gate moves, and with the signature checked.

The registry compares again when the version is to move (`registry.policy.origin.not_a_patch`): with the champion of
that time, and whatever the training was told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from flywheel.errors import NotApprovedError
from flywheel.package import Lineage
from flywheel.usecase import UseCase
from training.packaging.champion import Predecessor
from training.packaging.environment_lock import environment_lock, scoring_requirements
from training.packaging.lineage import file_digest, git_state, python_version, text_digest

SHORT = 12  # signs of a digest that people are shown
NOTHING = "nothing on record"


@dataclass(frozen=True)
class Code:
    """What is trained with: the commit and digests of all else, '' where there is none.

    Attributes:
        commit: Of the repository in which the use case lies.
        diff: Of what is not committed.
        features: Of the feature function's file.
        usecase: Of usecase.yaml.
        lock: Of the environment of a prediction, which depends on the family's library.
    """

    commit: str
    diff: str
    features: str
    usecase: str
    lock: str


def code_of(lineage: Lineage) -> Code:
    """Return what a version was trained with."""
    return Code(
        commit=lineage.git_commit or "",
        diff=lineage.diff_digest,
        features=lineage.features_digest,
        usecase=lineage.usecase_digest,
        lock=lineage.lock_digest,
    )


def code_here(usecase: UseCase, path: Path, flavor: str) -> Code:
    """Return what a training here and now would train with; `flavor` names the MLflow module of its models."""
    git = git_state(path.parent)
    lock = environment_lock(scoring_requirements(flavor), python_version())
    return Code(
        commit=git.commit or "",
        diff=git.diff_digest,
        features=file_digest(path.parent / usecase.features),
        usecase=file_digest(path),
        lock=text_digest(lock),
    )


def differences(here: Code, approved: Code) -> list[str]:
    """Say in what they differ, or cannot be compared; uncommitted changes may be the same on both sides."""
    named = {
        "commit": (here.commit, approved.commit),
        "features": (here.features, approved.features),
        "use case": (here.usecase, approved.usecase),
        "environment lock": (here.lock, approved.lock),
    }
    found = [_difference(name, *both) for name, both in named.items() if both[0] != both[1] or not both[0]]
    if here.diff != approved.diff:
        found.append(_difference("uncommitted changes", here.diff or "none", approved.diff or "none"))
    return found


def check_code(usecase: UseCase, path: Path, as_of: datetime, champion: Predecessor | None) -> None:
    """Refuse to train anything but the champion's code as of a later time.

    Args:
        usecase: As the file at `path` says.
        path: Of usecase.yaml.
        as_of: Naive UTC; of the data.
        champion: Whose code may be trained.

    Raises:
        NotApprovedError: It is another, or older data; names each part with both digests.
    """
    if champion is None:
        raise NotApprovedError(
            f"Use case '{usecase.name}' has no champion, so there is no code that was approved. A person must train it."
        )
    lineage = champion.package.lineage
    found = differences(code_here(usecase, path, lineage.flavor), code_of(lineage))
    if found:
        checkout = f", or check out {_short(lineage.git_commit)}" if lineage.git_commit else ""
        raise _refusal(champion, found, f"Let a person train it{checkout}.")
    if as_of <= lineage.as_of:
        raise _refusal(champion, [f"data as of {as_of:%Y-%m-%d %H:%M} and not later"], "Let a person train it.")


def check_newer(newest: datetime, champion: Predecessor) -> None:
    """Refuse to train on data that end where the champion's do.

    Args:
        newest: Event time of the newest labelled row, naive UTC.
        champion: Whose data are known.

    Raises:
        NotApprovedError: No row is newer.
    """
    part = champion.package.lineage.parts.get("test")
    if part is not None and newest <= part.end:
        said = f"labelled rows until {newest:%Y-%m-%d %H:%M} and none later"
        raise _refusal(champion, [said], "See whether the source still gets rows and labels.")


def _refusal(champion: Predecessor, found: Sequence[str], remedy: str) -> NotApprovedError:
    lineage = champion.package.lineage
    what = f"version {champion.version} of '{lineage.usecase}', the champion (as of {lineage.as_of:%Y-%m-%d %H:%M})"
    return NotApprovedError(
        f"A service trains only what {what} was made of, on newer data; here: {', '.join(found)}. {remedy}"
    )


def _difference(name: str, here: str, approved: str) -> str:
    return f"{name} {_short(here)} instead of {_short(approved)}"


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:SHORT] or NOTHING
