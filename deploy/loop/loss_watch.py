"""What the loss of a live version may be, and whether it has risen above it. Pure.

Fixed at the promotion, from the version's own losses in its rollout; where outcomes came too late for that, from its
first ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from deploy.evidence.plan import EvidencePlan, Loss
from deploy.evidence.references import UNCUT, cut_by
from deploy.loop.rollout import Rollout
from deploy.verdict.stretch import Stretch
from deploy.verdict.watching import Alarms, MeanWatch, mean_watch

# One false alarm in ten years of looks, one a minute.
ALARMS = Alarms(a_year=0.1, looks_a_year=365 * 1_440)
# Losses that say what the mean may be: with 500 the interval reaches to 1.5 times the mean and more.
ENOUGH = 2_000


@dataclass(frozen=True)
class State:
    """What is kept of one version's time.

    Args:
        rollout: That brought it.
        place: How far its outcomes were read.
        loss: Its kind and bounds; while these are not fixed, without any that a loss meets.
        seen: Losses while what they may be is not fixed.
        watch: Over their mean; None until then.
        stretch: In which they have been above it.
    """

    rollout: str
    place: int
    loss: Loss
    seen: tuple[float, ...] = ()
    watch: MeanWatch | None = None
    stretch: Stretch = field(default_factory=Stretch)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        watch = self.watch.to_json() if self.watch is not None else None
        told = {"rollout": self.rollout, "place": self.place, "loss": self.loss.model_dump(), "seen": self.seen}
        return {**told, "watch": watch, "stretch": self.stretch.to_json()}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> "State":
        """Read what `to_json` wrote."""
        watch = MeanWatch.from_json(body["watch"]) if body["watch"] is not None else None
        loss, seen = Loss.model_validate(body["loss"]), tuple(float(one) for one in body["seen"])
        return cls(body["rollout"], int(body["place"]), loss, seen, watch, Stretch.from_json(body["stretch"]))

    def after(self, values: Sequence[float], ratio: float, now: datetime) -> "State":
        """Take in one look's losses.

        Args:
            values: Within the bounds of `loss`.
            ratio: Of what the mean may be to what it has been.
            now: The time.
        """
        if self.watch is None:
            return _learned(replace(self, seen=(*self.seen, *values)), ratio)
        watch, stretch = self.watch.take(values), self.stretch.take(values, self.watch, now)
        if self.watch.worse and stretch.since != self.stretch.since:  # what had risen is back, and may rise again
            watch = MeanWatch(watch.low, watch.high, watch.bound, watch.threshold)
        return replace(self, watch=watch, stretch=stretch)

    @property
    def sentence(self) -> str | None:
        """What has happened to the loss, without a full stop; None while nothing has."""
        if self.watch is None or not self.watch.worse or self.stretch.since is None:
            return None
        outcomes = f"{self.stretch.count:,} outcomes since {self.stretch.since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        return (
            f"Its loss has risen to {self.stretch.mean:.3g}, the mean of {outcomes}, and {self.watch.bound:.3g} may be"
        )


def loss_reference(values: Sequence[float], rollout: Rollout) -> dict[str, dict[str, float]]:
    """Return what the loss of a version may be by its own rollout, as it goes on record; {} where that is not known.

    Args:
        values: Its losses there.
        rollout: With the bounds that they are within.
    """
    loss = loss_of_rollout(rollout)
    if loss is None or len(values) < ENOUGH:
        return {}
    try:
        watch = mean_watch(values, (loss.low, loss.high), ALARMS, tolerance=rollout.plan.spec.loss_ratio)
    except ValueError:
        return {}
    return {"loss": {"values": len(values), "bound": watch.bound}}


def _learned(state: State, ratio: float) -> State:
    """Fix what the loss may be once enough is seen; losses that say of no mean that it is too high fix nothing."""
    if len(state.seen) < ENOUGH:
        return state
    state = replace(state, seen=state.seen[-ENOUGH:])
    loss = state.loss if state.loss.high < UNCUT else cut_by(state.loss, state.seen)
    if loss is None:
        return state
    try:
        watch = mean_watch([min(one, loss.high) for one in state.seen], (loss.low, loss.high), ALARMS, tolerance=ratio)
    except ValueError:
        return state
    return replace(state, loss=loss, seen=(), watch=watch)


def loss_of_rollout(rollout: Rollout) -> Loss | None:
    """Return the loss that a rollout's version was judged by; None where no outcome was known when it began."""
    evidence = rollout.plan.evidence
    arm = next((arm for arm, one in rollout.arms.items() if one == rollout.new), "")
    plan = evidence["arms"].get(arm, {}).get("plan") if "arms" in evidence else evidence.get("plan")
    return EvidencePlan.model_validate(plan).loss if plan else None
