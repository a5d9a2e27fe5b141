"""Several metrics, one call: any guard rolls back, all gates together promote, and what differs holds.

The guards share α, so that a good canary is rolled back with a probability of α in all. The gates need not: a bad one
passes only when its own gate opens, whatever the others do.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deploy.verdict.calls import Call
from deploy.verdict.readings import Metric, Reading


@dataclass(frozen=True)
class StepLook:
    """One look at several metrics.

    Args:
        step: Index of the plan's step at which it was taken; it never falls.
        metrics: What was seen since the last look, by metric; one that saw nothing may be left out.
    """

    step: int
    metrics: Mapping[str, Any]


@dataclass(frozen=True)
class Judged:
    """The call after the last look that was judged.

    Args:
        call: What the evidence says.
        reason: The sentence for people.
        look: Number of that look, from 1; 0 when there was none.
        readings: By metric.
    """

    call: Call
    reason: str
    look: int
    readings: dict[str, Reading]


@dataclass(frozen=True)
class Judging:
    """Several metrics after some looks. A value: taking a look returns another one, and this one stays as it was.

    Args:
        metrics: By name, each with what its looks left behind.
        step: Index of the plan's step that the metrics are at.
        judged: The call after the last look.
    """

    metrics: Mapping[str, Metric]
    step: int
    judged: Judged

    def take(self, look: StepLook) -> tuple["Judging", Judged]:
        """Take in the next look, which goes to its step by itself; a rollback ends it, and later looks change nothing.

        Raises:
            ValueError: The look is of an earlier step, or says what its metric cannot take.
        """
        if self.judged.call is Call.ROLL_BACK:
            return self, self.judged
        metrics = _at_step(self.metrics, self.step, look.step)
        metrics = {name: _taken(metric, look.metrics.get(name)) for name, metric in metrics.items()}
        readings = _readings(metrics)
        judged = Judged(*_call(readings, look), self.judged.look + 1, readings)
        return Judging(metrics, look.step, judged), judged


def judging(metrics: Mapping[str, Metric]) -> Judging:
    """Return metrics before their first look."""
    none = Judged(Call.NOT_YET, "There is no look yet, and that is never a pass.", 0, _readings(metrics))
    return Judging(metrics, 0, none)


def judge_metrics(metrics: Mapping[str, Metric], looks: Iterable[StepLook]) -> Judged:
    """Judge looks in their order; a rollback ends it, and what comes after is not judged."""
    now = judging(metrics)
    for look in looks:
        now, _ = now.take(look)
    return now.judged


def _at_step(metrics: Mapping[str, Metric], step: int, wanted: int) -> Mapping[str, Metric]:
    if wanted < step:
        raise ValueError(f"a look at step {wanted + 1} comes after one at step {step + 1}.")
    for _ in range(step, wanted):
        metrics = {name: metric.next_step() for name, metric in metrics.items()}
    return metrics


def _taken(metric: Metric, look: Any) -> Metric:
    return metric if look is None else metric.take(look)


def _readings(metrics: Mapping[str, Metric]) -> dict[str, Reading]:
    return {name: metric.reading() for name, metric in metrics.items()}


def _call(readings: Mapping[str, Reading], look: StepLook) -> tuple[Call, str]:
    for name, reading in readings.items():
        if reading.worse:
            return Call.ROLL_BACK, f"{name}: {reading.sentence}"
    for name, reading in readings.items():
        if reading.holds:
            return Call.NOT_YET, f"{name}: {reading.sentence} That holds the rollout until people have looked."
    gates = {name: reading for name, reading in readings.items() if reading.good is not None}
    if not gates:
        return Call.NOT_YET, "No metric of the plan opens a gate, so nothing is ever promoted by it."
    unseen = [name for name in gates if look.metrics.get(name) is None]
    closed = [name for name, reading in gates.items() if not reading.good]
    if unseen:
        return Call.NOT_YET, f"{unseen[0]}: nothing was seen in the last look, and that is never a pass."
    if closed:
        return Call.NOT_YET, f"{closed[0]}: more evidence is needed. {gates[closed[0]].sentence}"
    return Call.PROMOTE, f"All gates are open: {', '.join(gates)}."
