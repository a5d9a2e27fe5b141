"""The vigil over the loss of what is live: do its predictions cost more than they did? By outcomes, as they come.

Flows in: what the prediction log says, look by look. Flows out: a sentence once the loss has risen (`loss_watch`). The
state of each use case is one small file, HOME/run/vigils/<use case>.loss.json.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deploy.evidence.references import uncut
from deploy.loop.interfaces import Losses
from deploy.loop.loss_watch import ALARMS, State, loss_of_rollout
from deploy.loop.rollout import Rollout
from deploy.verdict.watching import MeanWatch
from flywheel.connections import write_private
from flywheel.errors import FlywheelError

# Outcomes come slowly, and are left alone for ten minutes anyway.
EVERY = timedelta(minutes=1)


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
        before, newest = self._read(reign), losses.newest()
        state = before or _begun(reign, losses, newest)
        state = replace(state, place=min(state.place, newest))  # a table that ends before the place was begun anew
        if newest > state.place:
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


def _begun(reign: Rollout, losses: Losses, place: int) -> State:
    loss, reference = loss_of_rollout(reign), reign.reference.get("loss")
    if loss is None or reference is None:
        return State(reign.name, place, loss or uncut(losses.plan))
    watch = MeanWatch(loss.low, loss.high, reference["bound"], ALARMS.threshold)
    return State(reign.name, place, loss, watch=watch)
