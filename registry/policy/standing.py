"""Where a version stands on its way to Production: what it needs, and which of that it has. For pages and refusals."""

from dataclasses import dataclass

from flywheel.policy import Policy
from registry.gates.evidence import Evidence
from registry.policy.facts import Facts
from registry.policy.needs import Need, needs
from registry.policy.reviews import Review
from registry.policy.rules import why_not_review

__all__ = ["Need", "Standing", "standing"]


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


def standing(user: str, facts: Facts, policy: Policy) -> Standing:
    """Judge a version as `user` sees it; `policy` is the one for its model."""
    reason = why_not_review(user, facts, policy)
    evidence = tuple(facts.evidence[gate] for gate in sorted(facts.evidence))
    return Standing(
        digest=facts.digest,
        needs=needs(user, facts, policy),
        reviews=facts.reviews,
        evidence=evidence,
        may_review=reason is None,
        why_not=reason or "",
    )
