"""What a tick saw and did for one use case; for people and for `--json`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deploy.loop.decision import Action, Decision
from deploy.loop.rollout import OPEN, History, Phase, Rollout
from flywheel.errors import TransientError


class UnfinishedError(TransientError):
    """A tick that has to come again for some use cases, because of `fault`; `progress` is what came of the others."""

    def __init__(self, fault: TransientError, progress: "list[Progress]") -> None:
        super().__init__(str(fault))
        self.fault = fault
        self.progress = progress


@dataclass(frozen=True)
class Progress:
    """One use case after a tick.

    Args:
        usecase: Its name.
        champion: The version that answers what no other does; None before the first.
        challenger: The version that comes.
        percent: Of the requests that the challenger answers; without one, the champion.
        phase: Of the rollout under way, else of the last one.
        reason: What goes on, in words.
        settled: Nothing will change without people, time or a newer version.
        outcome: How the rollout stands or ended.
        verdict: Of the last look: call, reason, and by metric its statistic, interval and counts.
        steps: Percent at each step of the rollout under way, before all of it.
        serving: By version how it is served: backend, replicas, why.
        acted: Whether the tick recorded something, which the next one makes true.
        others: Of an experiment, the further challengers.
        measures: An experiment is in traffic: it goes on by itself, for days, and nobody waits for it.
        damaged: Its record cannot be read, and nothing is done about it.
    """

    usecase: str
    champion: str | None
    challenger: str | None
    percent: int
    phase: Phase | None
    reason: str
    settled: bool
    outcome: str | None = None
    verdict: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[int, ...] = ()
    serving: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    acted: bool = False
    others: tuple[str, ...] = ()
    measures: bool = False
    damaged: bool = False


def of_history(history: History, reason: str, *, settled: bool) -> Progress:
    """Return the progress of a use case without a rollout under way."""
    last = history.rollouts[-1] if history.rollouts else None
    if settled and last is not None and last.phase is Phase.ROLLED_BACK:
        reason = f"Version {last.new.version} was rolled back: {last.reason}"
    champion = history.champion.version if history.champion else None
    phase = last.phase if last else None
    return Progress(
        history.usecase, champion, None, 100 if champion else 0, phase, reason, settled, str(phase) if phase else None
    )


def of_damage(history: History, reason: str) -> Progress:
    """Return the progress of a use case that is kept apart, because its record cannot be read."""
    champion = history.champion.version if history.champion else None
    return Progress(history.usecase, champion, None, 100 if champion else 0, None, reason, settled=True, damaged=True)


def of_rollout(rollout: Rollout, decision: Decision, verdict: Mapping[str, Any], *, in_force: bool) -> Progress:
    """Return the progress of a use case whose rollout is under way."""
    waits = decision.action is Action.WAIT
    waiting = rollout.phase in OPEN  # what was said of a pause holds no longer after that
    asks = rollout.phase is Phase.HELD or (rollout.paused is not None and waiting)
    bakes = rollout.phase is Phase.BAKING
    measures = rollout.is_experiment and rollout.phase is Phase.CANARY and rollout.confirmed and not asks
    return Progress(
        usecase=rollout.new.usecase,
        champion=rollout.new.version if bakes else rollout.old.version if rollout.old else None,
        challenger=None if bakes else rollout.new.version,
        percent=rollout.percent,
        phase=rollout.phase,
        reason=decision.reason,
        settled=waits and (asks or ((bakes or measures) and in_force)),
        outcome=str(rollout.phase),
        verdict=verdict,
        steps=rollout.plan.steps,
        acted=not waits,
        others=tuple(one.version for one in rollout.others) if rollout.phase in OPEN else (),
        measures=measures,
    )
