"""A report: the judgement, the way to it, and what it is worth."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from deploy.experiments.judging import Judgement, document, judge
from deploy.experiments.looks import Look
from deploy.experiments.plan import Experiment
from deploy.experiments.readings import Reading, readings
from deploy.experiments.returns import Money, returned


@dataclass(frozen=True)
class Step:
    """What one look on the way said.

    Args:
        days: Since the start; None without times.
        units: Measured units of all arms.
        arms: Readings.
    """

    days: float | None
    units: int
    arms: tuple[Reading, ...]


@dataclass(frozen=True)
class Report:
    """All that a report shows."""

    plan: Experiment
    looks: tuple[Look, ...]
    judgement: Judgement
    path: tuple[Step, ...]
    money: tuple[Money, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values: a record, of which `judge_experiment` makes the same judgement again."""
        plan = self.plan.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {
            "plan": plan,
            "looks": [look.to_json() for look in self.looks],
            "judgement": document(self.judgement),
            "return": [asdict(one) for one in self.money],
            "path": [
                {"days": step.days, "units": step.units, "gains": {one.arm: _ends(one) for one in step.arms[1:]}}
                for step in self.path
            ],
        }


def report_of(plan: Experiment, looks: Sequence[Look]) -> Report:
    """Judge looks, and keep what each of them said."""
    judgement = judge(plan, looks)
    steps = []
    for look in looks:
        arms = readings(plan, look)
        steps.append(Step(look.days, sum(one.measured for one in arms), arms))
    known = [one for one in judgement.arms[1:] if math.isfinite(one.gain.high) and one.arm not in judgement.stop]
    worth = plan.returns is not None and not judgement.ratio.mismatch
    return Report(
        plan, tuple(looks), judgement, tuple(steps), tuple(returned(plan, one) for one in known) if worth else ()
    )


def _ends(reading: Reading) -> list[float] | None:
    gain = reading.gain
    return [gain.estimate, gain.low, gain.high] if math.isfinite(gain.high) else None
