"""The local journal: the looks of rollouts under way, in HOME/run/rollouts, so that a restart forgets no evidence.

Looks come every second or so, too many for the audit trail; the event of each step carries them once it is decided.
A lost journal costs the looks' boundaries only: what was counted since the step began is then one look.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from deploy.rollout import Rollout
from deploy.verdict import NOTHING, Look, Plan, State, Verdict, judge
from flywheel.connections import write_private


@dataclass(frozen=True)
class Looks:
    """What has been counted and judged in one rollout.

    Args:
        step: The step that `taken` belongs to.
        state: After the last look.
        counters: The gateway's counters at the last look that was taken in.
        taken: The looks of this step, oldest first.
        call: The last verdict's call.
    """

    step: int
    state: State
    counters: Look
    taken: tuple[Look, ...] = ()

    @classmethod
    def from_events(cls, rollout: Rollout) -> "Looks":
        """Start at the counters that the step's event recorded."""
        start = Look(**rollout.counters) if rollout.counters else NOTHING
        return cls(rollout.step, State(step=max(rollout.step, 0)), start)

    def take(self, plan: Plan, counters: Look) -> tuple["Looks", Verdict]:
        """Judge what was counted since the last look."""
        look = _difference(counters, self.counters)
        state, verdict = judge(plan, self.state, look)
        if state is self.state:  # no traffic in one arm: nothing was taken in
            return self, verdict
        return replace(self, state=state, counters=counters, taken=(*self.taken, look)), verdict

    def for_step(self, rollout: Rollout) -> "Looks":
        """Carry the guard's memory over to the step that the rollout is at."""
        if rollout.step == self.step:
            return self
        fresh = Looks.from_events(rollout)
        return replace(fresh, state=replace(self.state, step=rollout.step, gate=NOTHING))

    def record(self) -> list[list[int]]:
        """Return the looks of this step for an event: canary requests, errors, baseline requests, errors."""
        return [list(asdict(look).values()) for look in self.taken]


class Journal:
    """One JSON file a rollout, replaced atomically at every look."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, rollout: Rollout) -> Looks | None:
        """Return the looks of a rollout at its present step; None when they were never written or are damaged."""
        try:
            document = json.loads(self._path(rollout).read_text())
            return _looks(document).for_step(rollout)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, rollout: Rollout, looks: Looks) -> None:
        """Keep the looks of a rollout."""
        document = {
            "step": looks.step,
            "state": looks.state.to_json(),
            "counters": asdict(looks.counters),
            "taken": looks.record(),
        }
        write_private(self._path(rollout), json.dumps(document))

    def _path(self, rollout: Rollout) -> Path:
        return self._folder / f"{rollout.name}.json"


def _looks(document: Mapping[str, Any]) -> Looks:
    taken = tuple(Look(*counts) for counts in document["taken"])
    return Looks(document["step"], State.from_json(document["state"]), Look(**document["counters"]), taken)


def _difference(now: Look, before: Look) -> Look:
    """Subtract counters; one that went back was started anew, because the gateway was."""
    if now.canary_requests < before.canary_requests or now.baseline_requests < before.baseline_requests:
        return now
    canary, baseline = now.canary_requests - before.canary_requests, now.baseline_requests - before.baseline_requests
    return Look(
        canary,
        min(max(now.canary_errors - before.canary_errors, 0), canary),
        baseline,
        min(max(now.baseline_errors - before.baseline_errors, 0), baseline),
    )
