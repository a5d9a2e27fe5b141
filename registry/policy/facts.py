"""What is known of a version, as the rules look at it: values only, told by the trail, the bytes and the clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from registry.access.accounts import Logins
from registry.gates.evidence import Evidence
from registry.policy.reviews import Review


@dataclass(frozen=True)
class Contributors:
    """Who made a version, beside its author.

    Args:
        people: By their names in the policy.
        strangers: Addresses in its commits that belong to nobody in the policy.
        unknown: Why not all of them are known; '' when they are.
    """

    people: frozenset[str] = frozenset()
    strangers: tuple[str, ...] = ()
    unknown: str = ""


@dataclass(frozen=True)
class Facts:
    """All that the judgement of a version's way to Production looks at.

    Args:
        model: Its model.
        version: Its number.
        author: Who registered it, if that is known.
        digest: Of its bytes; None where they could not be read.
        fault: Else why not: the end of a sentence.
        reviews: All, oldest first.
        evidence: The newest of each gate, whatever bytes it is about.
        contributors: Who made it.
        failure: Why a rollout of it was rolled back, if one was: it is not tried again.
        champion: Digest of the bytes that are champion now; None without one.
        patch: Why a service's version is no patch of the champion on newer data; '' when it is one.
        gates: That its use case requires beside the policy's.
        approved: Digest of its bytes that were last moved to Production; None when none ever were.
        logins: Whose word counts.
        at: Now, UTC.
    """

    model: str
    version: str
    author: str | None
    digest: str | None = None
    fault: str = "its digest was not taken"
    reviews: tuple[Review, ...] = ()
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    contributors: Contributors = Contributors()
    failure: str | None = None
    champion: str | None = None
    patch: str = "it was not compared with the champion"
    gates: tuple[str, ...] = ()
    approved: str | None = None
    logins: Logins = field(default_factory=Logins)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def name(self) -> str:
        """As sentences name it."""
        return f"version {self.version} of '{self.model}'"
