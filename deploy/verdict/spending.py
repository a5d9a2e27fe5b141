"""Exact error spending: one count against its null distribution, carried on from look to look.

The null distribution holds only the paths that no look has stopped; each look spends what lies beyond its boundary,
within what the plan allows by then. Linear spending over the planned evidence: Lan & DeMets, Biometrika 70(3), 1983;
exact and conditional: Silva, Maro & Kulldorff, Stat. Med. 2021 (10.1002/sim.9094).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from deploy.verdict.distributions import NO_COUNTS, Distribution

# What is left over at the planned evidence, because counts are whole, may still be spent for a while. Then the null
# distribution stops growing: without an end, weeks of looks would make it wide, and each look slow.
OVERTIME = 4.0


Null = Callable[[Distribution], Distribution]


@dataclass(frozen=True)
class Spending:
    """What the looks have left behind.

    Args:
        found: The count in the canary.
        counted: The counts of both arms so far (errors, units, minutes).
        evidence: The evidence so far, in the unit of the plan; mostly what was counted.
        spent: Error probability that has been spent.
        null: Null distribution of `found`, without the paths that were stopped.
    """

    found: int = 0
    counted: float = 0.0
    spent: float = 0.0
    null: Distribution = NO_COUNTS
    evidence: float = 0.0

    def take(
        self,
        found: int,
        counted: float,
        added: Null,
        *,
        alpha: float,
        planned: float,
        pace: float = 1.0,
        evidence: float | None = None,
    ) -> tuple["Spending", bool]:
        """Take one look.

        Args:
            found: The canary's count in this look.
            counted: The count of both arms in this look.
            added: Adds this look's count, as it is distributed under the null given all that was before, to the null
                distribution; once the test has ended it is not called.
            alpha: All that may be spent (0 to 1).
            planned: The evidence at which all of alpha may have been spent; OVERTIME times that ends the test.
            pace: What may have been spent by a part t of the planned evidence is alpha t^pace (Kim & DeMets,
                Biometrika 74(1), 1987); 1 is linear, more keeps it for later, when more is known.
            evidence: This look's evidence in the unit of the plan; what was counted when it is not given. Any that the
                canary's counts do not steer is as good (Lan & DeMets, Stat. Med. 8, 1989).

        Returns:
            The next state, and whether the null is rejected.
        """
        seen = self.evidence + (counted if evidence is None else evidence)
        both = Spending(self.found + found, self.counted + counted, self.spent, self.null, seen)
        if self.is_over(planned):
            return both, False
        null = added(self.null)
        boundary, tail = boundary_of(null, alpha * min(1.0, seen / planned) ** pace - self.spent)
        return replace(both, spent=self.spent + tail, null=null.below(boundary)), both.found >= boundary

    @property
    def boundary(self) -> int:
        """The count at which the last look would have rejected: the null distribution ends below it."""
        return max(self.null.start + len(self.null.chances) * self.null.spacing, 1)

    def is_over(self, planned: float) -> bool:
        """Say whether the test has ended: whatever comes, it rejects nothing more."""
        return self.evidence >= OVERTIME * planned

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        plain = {"found": self.found, "counted": self.counted, "spent": self.spent, "evidence": self.evidence}
        return {**plain, "offset": self.null.start, "null": list(self.null.chances), "spacing": self.null.spacing}

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "Spending":
        """Read what `to_json` wrote."""
        null = Distribution(body["offset"], tuple(body["null"]), body["spacing"])
        return cls(body["found"], body["counted"], body["spent"], null, body["evidence"])


NOTHING_SPENT = Spending()


def boundary_of(null: Distribution, budget: float) -> tuple[int, float]:
    """Return the smallest count whose tail the budget covers, and that tail's probability."""
    tail, index = 0.0, len(null.chances)
    while index > 0 and tail + null.chances[index - 1] <= budget:
        index -= 1
        tail += null.chances[index]
    # Every count below what was ever possible stays possible: nothing is rejected at no errors.
    return max(null.start + index * null.spacing, 1), tail
