"""The vigil over the loss of what is live: do its predictions cost more than they did? By outcomes, as they come.

What the loss may be is fixed at the promotion, from the version's own losses in its rollout; where outcomes came too
late for that, from its first ones. The state of each use case is one small file, HOME/run/vigils/<use case>.loss.json.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from deploy.evidence.plan import EvidencePlan, Loss
from deploy.evidence.references import UNCUT, cut_by, uncut
from deploy.loop.rollout import Rollout
from deploy.verdict.stretch import Stretch
from deploy.verdict.watching import Alarms, MeanWatch, mean_watch
from flywheel.connections import write_private
from flywheel.errors import FlywheelError

# Outcomes come slowly, and are left alone for ten minutes anyway.
EVERY = timedelta(minutes=1)
ALARMS = Alarms(a_year=0.1, looks_a_year=365 * 86_400 / EVERY.total_seconds())
# Losses that say what the mean may be: with 500 the interval reaches to 1.5 times the mean and more.
ENOUGH = 2_000


class Losses(Protocol):
    """What the log says of a live version's loss; see `deploy.evidence.lasting.LastingLosses`."""

    @property
    def plan(self) -> EvidencePlan:
        """The task, and the outputs."""

    def newest(self) -> int:
        """Return where its outcomes end; raises StackError when the log cannot be read."""

    def after(self, place: int, now: datetime, loss: Loss) -> tuple[list[float], int]:
        """Return losses that became known after a place, and the next place; raises StackError likewise."""


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


class LossVigils:
    """The vigils over the losses of all use cases of a home. Not for several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._looked: dict[str, datetime] = {}
        self._trouble: dict[str, str] = {}

    def is_due(self, reign: Rollout, now: datetime) -> bool:
        """Say whether it is time for another look; of a version that nobody judges by its loss never."""
        last = self._looked.get(reign.name)
        return "loss" in reign.plan.spec.guard and (last is None or now - last >= EVERY)

    def look(self, reign: Rollout, now: datetime, losses: Callable[[], Losses]) -> str | None:
        """Take in the outcomes that have come; return what `risen` does, on a full disk too.

        A log or a package that cannot be read is `trouble`, and changes nothing.
        """
        self._looked[reign.name] = now
        self._trouble.pop(reign.name, None)
        try:
            state = self._taken(reign, now, losses())
        except FlywheelError as fault:
            self._trouble[reign.name] = str(fault)
            return self.risen(reign)
        return state.sentence

    def risen(self, reign: Rollout) -> str | None:
        """Say that the loss has risen, in a sentence without its full stop; None while it has not."""
        state = self._read(reign)
        return state.sentence if state is not None else None

    def trouble(self, reign: Rollout) -> str:
        """Say why the last look said nothing; "" where it did not fail."""
        return self._trouble.get(reign.name, "")

    def _taken(self, reign: Rollout, now: datetime, losses: Losses) -> State:
        before = self._read(reign)
        state = before if before is not None else _begun(reign, losses)
        if losses.newest() > state.place:
            values, place = losses.after(state.place, now.astimezone(UTC).replace(tzinfo=None), state.loss)
            state = replace(state.after(values, reign.plan.spec.loss_ratio, now), place=place)
        if state != before:
            with suppress(OSError):  # a full disk: the next look reads the same outcomes again
                write_private(self._path(reign), json.dumps(state.to_json()))
        return state

    def _read(self, reign: Rollout) -> State | None:
        try:
            state = State.from_json(json.loads(self._path(reign).read_text()))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return state if state.rollout == reign.name else None

    def _path(self, reign: Rollout) -> Path:
        return self._folder / f"{reign.new.usecase}.loss.json"


def loss_reference(values: Sequence[float], rollout: Rollout) -> dict[str, dict[str, float]]:
    """Return what the loss of a version may be by its own rollout, as it goes on record; {} where that is not known.

    Args:
        values: Its losses there.
        rollout: With the bounds that they are within.
    """
    loss = _loss_of(rollout)
    if loss is None or len(values) < ENOUGH:
        return {}
    try:
        watch = mean_watch(values, (loss.low, loss.high), ALARMS, tolerance=rollout.plan.spec.loss_ratio)
    except ValueError:
        return {}
    return {"loss": {"values": len(values), "bound": watch.bound}}


def _begun(reign: Rollout, losses: Losses) -> State:
    loss, reference = _loss_of(reign), reign.reference.get("loss")
    if loss is None or reference is None:
        return State(reign.name, losses.newest(), loss or uncut(losses.plan))
    watch = MeanWatch(loss.low, loss.high, reference["bound"], ALARMS.threshold)
    return State(reign.name, losses.newest(), loss, watch=watch)


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


def _loss_of(rollout: Rollout) -> Loss | None:
    """Return the loss that a rollout's version was judged by; None where no outcome was known when it began."""
    evidence = rollout.plan.evidence
    arm = next((arm for arm, one in rollout.arms.items() if one == rollout.new), "")
    plan = evidence["arms"].get(arm, {}).get("plan") if "arms" in evidence else evidence.get("plan")
    return EvidencePlan.model_validate(plan).loss if plan else None
