"""Where a version stands on its way to Production: what it needs, and which of that it has. For pages and refusals."""

from dataclasses import dataclass

from registry.gates.evidence import Evidence
from registry.policy.reviews import Review


@dataclass(frozen=True)
class Need:
    """One thing that a transition to Production needs.

    Args:
        name: `author`, `approvals`, `rejections`, `contributors`, `freeze`, `bytes`, `rollout`, or `gate:<name>`.
        met: Whether it is there.
        sentence: What a reviewer reads: what is there, or what is missing and what to do.
    """

    name: str
    met: bool
    sentence: str


@dataclass(frozen=True)
class Standing:
    """Everything that is known about a version's way to Production, as one user sees it.

    Args:
        digest: Of the version's bytes; None where they could not be read.
        needs: All of them, the unmet ones first.
        reviews: All, oldest first.
        evidence: The newest of each gate.
        may_review: Whether the user may approve and reject this version.
        why_not: Else why not: one sentence.
    """

    digest: str | None
    needs: tuple[Need, ...]
    reviews: tuple[Review, ...]
    evidence: tuple[Evidence, ...]
    may_review: bool
    why_not: str = ""

    @property
    def ready(self) -> bool:
        """Whether nothing is missing but the user's own transition."""
        return all(need.met for need in self.needs)
