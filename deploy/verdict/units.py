"""Unit mode: whole users or pods are what was randomised, so their sums are what is compared.

Errors of one user or one pod come in bursts, and a test that counts them one by one is wrong many times its α. Here the
canary's sum stands against the sums that other draws of the same units would have given. A unit's count is cut at a
cap that was fixed before the start, so that no single unit decides.

Users belong to their arm at every look, so that each enters once, with its errors at the first look at which it has
any. Pods are compared anew block by block of looks: spells of trouble that end within a block are held, but one pod
that is bad for the whole rollout is not told from a bad version by any such test.
"""

import math
from array import array
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from deploy.verdict.distributions import Distribution, binomial, trimmed
from deploy.verdict.schedule import PACE
from deploy.verdict.spending import NOTHING_SPENT, Spending

_WORD = 64  # bits


@dataclass(frozen=True)
class UnitPlan:
    """What is fixed before the start.

    Args:
        cap: What a unit's errors in one look are cut at.
        alpha: Probability of rolling back a canary that is as good as the champion.
        planned: Errors of both arms, after the cut, at which all of alpha may have been spent.
        pace: How the spending goes, as `Spending.take` has it.
    """

    cap: int
    alpha: float
    planned: float
    pace: float = PACE


@dataclass(frozen=True)
class Users:
    """Users as units: who has been counted, and the spending."""

    counted: frozenset[str] = frozenset()
    spending: Spending = NOTHING_SPENT

    def take(
        self, plan: UnitPlan, share: float, canary: Mapping[str, int], baseline: Mapping[str, int]
    ) -> tuple["Users", bool]:
        """Take one look.

        Args:
            plan: Fixed before the start.
            share: Share of the users that a hash assigns to the canary (0 to 1); the same at all looks of this state.
            canary: Errors since the last look, by user; who had none may be left out.
            baseline: The same of the champion's users.

        Returns:
            The next state, and whether the canary is found worse.

        Raises:
            ValueError: A user is in both arms: then users are not what was randomised.
        """
        both = canary.keys() & baseline.keys()
        if both:
            raise ValueError(f"User '{min(both)}' is in both arms, so users are not the units that were randomised.")
        if self.spending.is_over(plan.planned):
            return self, False
        new_canary, new_baseline = self._new(plan, canary), self._new(plan, baseline)
        everyone = [*new_canary.values(), *new_baseline.values()]
        spending, worse = self.spending.take(
            sum(new_canary.values()),
            sum(everyone),
            lambda null: assigned(null, everyone, share),
            alpha=plan.alpha,
            planned=plan.planned,
            pace=plan.pace,
        )
        return Users(self.counted | new_canary.keys() | new_baseline.keys(), spending), worse

    def next_step(self) -> "Users":
        """Start a step whose hash has a new salt: everybody is assigned anew, and may be counted again."""
        return replace(self, counted=frozenset())

    def _new(self, plan: UnitPlan, errors: Mapping[str, int]) -> dict[str, int]:
        return {user: min(count, plan.cap) for user, count in errors.items() if count > 0 and user not in self.counted}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"counted": sorted(self.counted), "spending": self.spending.to_json()}

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "Users":
        """Read what `to_json` wrote."""
        return cls(frozenset(body["counted"]), Spending.from_json(body["spending"]))


def take_pods(
    plan: UnitPlan, spending: Spending, canary: Sequence[int], baseline: Sequence[int]
) -> tuple[Spending, bool]:
    """Take one block of looks at pods of equal traffic.

    Args:
        plan: Fixed before the start.
        spending: After the last block.
        canary: Errors in this block of each of the canary's pods, those without errors included.
        baseline: The same of the champion's pods.

    Returns:
        The next state, and whether the canary is found worse. Without a pod in either arm nothing changes.
    """
    if not canary or not baseline:
        return spending, False
    cut, others = [min(count, plan.cap) for count in canary], [min(count, plan.cap) for count in baseline]
    return spending.take(
        sum(cut),
        sum(cut) + sum(others),
        lambda null: null.plus(drawn([*cut, *others], len(cut))),
        alpha=plan.alpha,
        planned=plan.planned,
        pace=plan.pace,
    )


def assigned(null: Distribution, counts: Collection[int], share: float) -> Distribution:
    """Add to a count the canary's sum when each unit is the canary's with chance `share`, by itself."""
    for count, units in Counter(count for count in counts if count > 0).items():
        null = null.plus(binomial(units, share), count)
    return null


def drawn(counts: Collection[int], units: int) -> Distribution:
    """Return the distribution of the sum of so many units, drawn without replacement from all of them.

    The ways to draw j units whose sum is s are the coefficients of Π (1 + y z^count). They are multiplied as one long
    integer, in which each (j, s) has its own words: exact, and 50 pods take less than a millisecond. Units without
    errors fill up the draw.
    """
    bad = sorted(count for count in counts if count > 0)
    words, sums = len(counts) // _WORD + 1, sum(bad) + 1  # no number of ways has more bits than there are units
    row = words * _WORD * sums
    kept, ways = (1 << row * (units + 1)) - 1, 1
    for count in bad:
        ways = (ways + (ways << row + words * _WORD * count)) & kept
    fillers = [math.comb(len(counts) - len(bad), units - chosen) for chosen in range(units + 1)]
    total = sum(filler * (ways >> row * chosen & (1 << row) - 1) for chosen, filler in enumerate(fillers) if filler)
    draws = math.comb(len(counts), units)
    return trimmed(0, [way / draws for way in _split(total, words, sums)])


def _split(packed: int, words: int, size: int) -> list[int]:
    """Return the numbers, of so many words each, that stand in a long one."""
    found = array("Q")
    found.frombytes(packed.to_bytes(_WORD // 8 * words * size, "little"))
    parts = [found[word::words] for word in range(words)]
    return [sum(part << _WORD * word for word, part in enumerate(number)) for number in zip(*parts, strict=True)]
