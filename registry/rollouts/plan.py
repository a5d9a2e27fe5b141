"""A rollout's plan as its first event holds it: the way through traffic, and what each part of it is judged by."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flywheel.rollout_spec import Rollout as Way

SHADOW, TRAFFIC = "shadow", "traffic"


@dataclass(frozen=True)
class Plan:
    """What was fixed at the start.

    Args:
        way: As the use case says it.
        judged: Steps, alpha and metrics by what is judged: `shadow`, `traffic`; as `flywheel verdict` reads them.
        experiment: Of an experiment, its plan as experiment.yaml says it; {} without one.
    """

    way: Way
    judged: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    experiment: Mapping[str, Any] = field(default_factory=dict)

    @property
    def steps(self) -> tuple[int, ...]:
        """Percent of the requests that the new version answers, by step; 0 is the shadow. After the last comes 100."""
        shadow = (0,) if SHADOW in self.judged else ()
        return (*shadow, *self.judged[TRAFFIC]["steps"]) if TRAFFIC in self.judged else shadow

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """What it is judged by, in the order of the use case's guards; as for traffic, where that is judged."""
        found = {name: one for part in self.judged.values() for name, one in part["metrics"].items()}
        order = [*self.way.guard, *found]  # an event keeps no order of keys
        return {name: found[name] for name in dict.fromkeys(order) if name in found}

    def part(self, step: int) -> Mapping[str, Any]:
        """Return what a step is judged by; {} outside of the steps."""
        if not 0 <= step < len(self.steps):
            return {}
        return self.judged[TRAFFIC if self.steps[step] else SHADOW]

    def share(self, step: int, metric: str) -> float:
        """Return the new version's share (0 to 1) of the requests that a metric compares both versions on at a step.

        Of an experiment a metric compares the arm that its name ends with and the control.
        """
        shares, arm = self.experiment.get("shares", {}), metric.partition(" ")[2]
        if arm in shares:
            return float(shares[arm] / (shares[arm] + shares[self.experiment["control"]]))
        return self.steps[step] / 100 if self.steps[step] else 0.5  # of a copied request both versions get one


def read_plan(body: Mapping[str, Any]) -> Plan:
    """Read the plan in the body of `rollout.started`; the oldest rollouts wrote steps and alpha alone.

    Raises:
        KeyError: There is none.
        ValueError: The way is none that a use case can have.
    """
    if "plan" not in body:
        rest = {"shadow": None, "bake": "0s", "guard": ["errors"]}
        way = Way.model_validate({"steps": body["steps"], "max_minutes": body["max_minutes"], **rest})
        errors = {"kind": "errors", "part": 1.0, "margin": body["margin"]}
        return Plan(way, {TRAFFIC: {"steps": body["steps"], "alpha": body["alpha"], "metrics": {"errors": errors}}})
    plan = body["plan"]
    return Plan(Way.model_validate(plan["spec"], extra="ignore"), dict(plan["verdicts"]), plan.get("experiment", {}))
