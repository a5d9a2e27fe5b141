"""The plan of a rollout: its way through traffic and what it is judged by, fixed before it starts. Pure.

It stands in the event that starts the rollout, so that whoever replays the record judges by the same. Shadow and
traffic are judged apart, each with its part of alpha; either is a plan as `flywheel verdict` reads it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from deploy.shares import ArmCounts
from deploy.verdict_plan import PlanSpec
from flywheel.rollout_spec import Rollout as RolloutSpec

ALPHA = 0.05
# The shadow's part of alpha where there is traffic after it; shadow requests are few, and cost nobody an answer.
SHADOW_PART = 0.2
# Both arms answer the same requests.
SHADOW_STEP = 50
NO_TIME = timedelta(0)
# Where users are judged: the metric that needs no log, its part of what the guard on errors may spend, and by how much
# more of the canary's requests may fail.
OUTAGE, OUTAGE_NAME = "outage", "difference of error rates, look by look,"
OUTAGE_PART, MOST_TOLERATED = 0.1, 0.5
# Of the champion's requests; with fewer its p99 is one or two of them.
LEAST_FOR_QUANTILES = 200
# Seconds that are one piece of evidence on latency: what a process that stops for a moment is slow in.
BLOCK_SECONDS = 2.0


@dataclass(frozen=True)
class References:
    """What was measured of the champion before the start.

    Args:
        latency: Seconds that 10 % and 1 % of its requests took longer than; None while too few are known.
        evidence: What looks at the prediction log are counted by: edges of bins, bounds of losses.
        metrics: Plans of the metrics that go by these, by guard.
    """

    latency: tuple[float, float] | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class RolloutPlan:
    """What is fixed at the start.

    Args:
        spec: The way, as the use case says it.
        shadow: What the shadow step is judged by; None without one.
        traffic: What the steps in traffic are judged by; None without any.
        evidence: What looks at the prediction log are counted by.
        arms: Of an experiment, percent of the requests by challenger; () without one.
        experiment: Its plan, as experiment.yaml says it; {} without one.
    """

    spec: RolloutSpec
    shadow: PlanSpec | None = None
    traffic: PlanSpec | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    arms: tuple[int, ...] = ()
    experiment: Mapping[str, Any] = field(default_factory=dict)

    @property
    def steps(self) -> tuple[int, ...]:
        """Percent of the requests that the new version answers, by step; 0 is the shadow. After the last comes 100.

        An experiment has one step, at which all challengers together answer as much.
        """
        return (*((0,) if self.shadow is not None else ()), *(self.traffic.steps if self.traffic is not None else ()))

    def judged_by(self, step: int) -> PlanSpec | None:
        """Return what a step is judged by; None after the last."""
        if not 0 <= step < len(self.steps):
            return None
        return self.shadow if self.steps[step] == 0 else self.traffic

    def mirror_percent(self, step: int) -> float:
        """Percent of the champion's requests that the new version gets as well at a step."""
        shadow = self.spec.shadow
        return shadow.percent if shadow is not None and 0 <= step < len(self.steps) and self.steps[step] == 0 else 0.0

    def is_manual(self, step: int) -> bool:
        """Say whether a step waits for people; the one after the last is that to all of the traffic."""
        return (self.steps[step] if step < len(self.steps) else 100) in self.spec.manual

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        verdicts = {"shadow": self.shadow, "traffic": self.traffic}
        judged = {name: one.model_dump(mode="json", exclude_none=True) for name, one in verdicts.items() if one}
        told = {"spec": self.spec.model_dump(mode="json"), "verdicts": judged, "evidence": dict(self.evidence)}
        return told | ({"arms": list(self.arms), "experiment": dict(self.experiment)} if self.experiment else {})

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> "RolloutPlan":
        """Read what `to_json` wrote, or what rollouts wrote that knew errors only.

        What an earlier release recorded still holds: keys that are no more are passed over, new ones have defaults.

        Raises:
            ValueError: It is neither.
        """
        if "plan" not in body:
            return errors_only(tuple(body["steps"]), body["margin"], body["alpha"], body["max_minutes"])
        plan = body["plan"]
        judged = {name: PlanSpec.model_validate(one, extra="ignore") for name, one in plan["verdicts"].items()}
        spec = RolloutSpec.model_validate(plan["spec"], extra="ignore")
        arms, experiment = tuple(plan.get("arms", ())), plan.get("experiment", {})
        return cls(spec, judged.get("shadow"), judged.get("traffic"), plan.get("evidence", {}), arms, experiment)


def make_plan(spec: RolloutSpec, alpha: float, references: References) -> RolloutPlan:
    """Return the plan of a rollout.

    Args:
        spec: What the use case asks for.
        alpha: Probability of rolling back a version that is as good as the champion.
        references: What was measured of the champion.
    """
    shadow_part = (SHADOW_PART if spec.shares else 1.0) if spec.shadow is not None else 0.0
    shadow_way = _shadow_way(spec)
    shadow = (
        _judged_by(shadow_way, (SHADOW_STEP,), shadow_part * alpha, references) if spec.shadow is not None else None
    )
    traffic = _judged_by(spec, spec.shares, (1 - shadow_part) * alpha, references) if spec.shares else None
    return RolloutPlan(spec, shadow, traffic, references.evidence)


def _shadow_way(spec: RolloutSpec) -> RolloutSpec:
    """Return what the shadow is judged by: not its latency, for its first requests warm it up and nobody waits.

    Nobody is randomised either: both versions get each request.
    """
    guard = tuple(name for name in spec.guard if name != "latency")
    least = spec.shadow.requests if spec.shadow is not None else spec.least_requests
    return spec.model_copy(update={"least_requests": least, "guard": guard, "unit": "request"})


def errors_only(steps: tuple[int, ...], margin: float, alpha: float = ALPHA, max_minutes: float = 30.0) -> RolloutPlan:
    """Return a plan that goes by errors alone, without shadow and bake."""
    rest: dict[str, Any] = {"shadow": None, "guard": ("errors",), "bake": NO_TIME, "least_requests": 1}
    spec = RolloutSpec(steps=steps, margin=margin, max_minutes=max_minutes, **rest)
    return make_plan(spec, alpha, References())


def _judged_by(spec: RolloutSpec, steps: tuple[int, ...], alpha: float, references: References) -> PlanSpec:
    made = {guard: one for guard in spec.guard if (one := metric_of(guard, spec, references)) is not None}
    if not made:  # nothing is known of what was asked for, and nothing unjudged goes further
        made = {"errors": _errors(spec)}
    parts = spec.alpha_parts(made)
    metrics: dict[str, dict[str, Any]] = {
        guard: {**one, **({"part": parts[guard]} if guard in parts else {})} for guard, one in made.items()
    }
    if spec.unit == "user" and "errors" in parts:
        metrics |= by_users(spec, parts["errors"])
    return PlanSpec.model_validate({"steps": steps, "alpha": alpha, "metrics": metrics})


def by_users(spec: RolloutSpec, part: float) -> dict[str, dict[str, Any]]:
    """Return what judges errors where users are randomised, whose requests fail together.

    Requests may open a gate, but users must be what rolls back. Who they are the prediction log alone says, so by the
    gateway's counts an outage is found while the log is silent: what a look differs in, however many requests it has.

    Args:
        spec: The way, as the use case says it.
        part: Of alpha, that of the guard on errors.
    """
    tolerated = min(spec.ceiling, MOST_TOLERATED)
    outage: dict[str, Any] = {"kind": "mean", "low": 0.0, "high": 1.0, "opens": False, "name": OUTAGE_NAME}
    outage |= {"part": OUTAGE_PART * part, "tolerance": tolerated, "margin": tolerated + 0.1}
    users = {"kind": "users", "part": (1 - OUTAGE_PART) * part}
    return {"errors": _errors(spec), "users": users, OUTAGE: outage}


def metric_of(guard: str, spec: RolloutSpec, references: References) -> dict[str, Any] | None:
    """Return the plan of a guard's metric; None while what it goes by is not known."""
    if guard == "errors":
        return _errors(spec)
    if guard == "latency":
        if references.latency is None:
            return None
        p90, p99 = references.latency
        seconds = {"p90": p90, "p99": p99}
        return {"kind": "latency", "seconds": seconds, "tolerance": spec.latency_ratio, "block_seconds": BLOCK_SECONDS}
    return dict(references.metrics[guard]) if guard in references.metrics else None


def _errors(spec: RolloutSpec) -> dict[str, Any]:
    tolerated = {"margin": spec.margin, "ratio": spec.ratio, "ceiling": spec.ceiling}
    return {"kind": "errors", **tolerated, "least_requests": spec.least_requests}


def metric_name(guard: str, arm: str | None) -> str:
    """Return the name of a metric: of an experiment each arm has its own."""
    return guard if arm is None else f"{guard} {arm}"


def arm_of(metric: str) -> str | None:
    """Return the arm of an experiment that a metric is of, by its name; None where it names none."""
    return metric.partition(" ")[2] or None


def latency_of(spec: RolloutSpec, champion: ArmCounts | None) -> tuple[float, float] | None:
    """Return the seconds over which requests count as slow: the bounds next above the champion's p90 and p99.

    With an objective the lower one is that, whatever the champion did. None while too few of its requests are known.
    """
    if champion is None:
        return None
    known, objective = champion.requests >= LEAST_FOR_QUANTILES, spec.latency_objective_ms
    low = _bound_of(champion, 0.9) if known else None
    if objective is not None:
        low = next((one for one in sorted(champion.slow) if one >= objective / 1000), None)
    above = next((one for one in sorted(champion.slow) if low is not None and one > low), None)
    if low is None or above is None:
        return None
    return low, max(above, (_bound_of(champion, 0.99) if known else None) or above)


def _bound_of(arm: ArmCounts, quantile: float) -> float | None:
    return next((one for one in sorted(arm.slow) if arm.slow[one] <= (1 - quantile) * arm.requests), None)
