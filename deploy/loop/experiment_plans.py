"""The plan of an experiment in the loop: what harm is found by, arm by arm, and what the measure is judged by. Pure.

Harm is judged by the engine of every rollout: each challenger against the champion, by metrics that end with the name
of its arm and share alpha evenly. The business measure is judged by `deploy.experiments`, by the plan of the file.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from deploy.experiments.plan import Experiment
from deploy.loop.plans import References, RolloutPlan, by_users, metric_name, metric_of
from deploy.shares import challenger_arms
from deploy.verdict_plan import PlanSpec
from flywheel.rollout_spec import Rollout as RolloutSpec

GUARDS = ("errors", "latency")
# Without maximum_days it holds after so many, and asks: nothing runs for ever unseen.
LONGEST_DAYS = 90.0


def experiment_way(spec: RolloutSpec, experiment: Experiment) -> RolloutSpec:
    """Return the way of an experiment: one step with the shares of the plan, then all traffic to a winner.

    Of the use case's own way stay what guards harm, people and windows before the last step, and the bake.
    """
    guard = tuple(name for name in GUARDS if name in spec.guard) or ("errors",)
    days = experiment.maximum_days or LONGEST_DAYS
    return spec.model_copy(
        update={
            "strategy": "canary",
            "shadow": None,
            "steps": (sum(percents_of(experiment)),),
            "pause": timedelta(0),
            "manual": tuple(one for one in spec.manual if one == 100),
            "unit": "user",
            "guard": guard,
            "parts": {name: part for name, part in spec.parts.items() if name in guard},
            "kpi": None,
            "max_minutes": days * 24 * 60,
        }
    )


def experiment_plan(
    way: RolloutSpec, alpha: float, references: Mapping[str, References], experiment: Experiment
) -> RolloutPlan:
    """Return the plan of an experiment.

    Args:
        way: As `experiment_way` returns it.
        alpha: Probability of finding harm in any challenger where there is none.
        references: What was measured of the champion, by challenger's arm.
        experiment: As it goes on record, with its start and its rollout.
    """
    metrics: dict[str, dict[str, Any]] = {}
    for arm, known in references.items():
        metrics |= _metrics(way, known, arm, experiment)
    traffic = PlanSpec.model_validate({"steps": way.steps, "alpha": alpha, "metrics": metrics})
    looked_at = {
        arm: {**one.evidence, "plan": {**one.evidence["plan"], "arm": arm}} for arm, one in _logged(references)
    }
    evidence = {"arms": looked_at} if looked_at else {}
    document = experiment.model_dump(mode="json", by_alias=True, exclude_none=True)
    return RolloutPlan(way, None, traffic, evidence, percents_of(experiment), document)


def percents_of(experiment: Experiment) -> tuple[int, ...]:
    """Return the percent of the requests by challenger, in the order of the gateway's arms."""
    return tuple(round(experiment.shares[arm]) for arm in challenger_arms(len(experiment.challengers)))


def _logged(references: Mapping[str, References]) -> list[tuple[str, References]]:
    return [(arm, one) for arm, one in references.items() if "plan" in one.evidence]


def _metrics(way: RolloutSpec, known: References, arm: str, experiment: Experiment) -> dict[str, dict[str, Any]]:
    """Return one challenger's metrics, with its part of alpha.

    Requests of one user fail together: where the log tells users apart, they are what sends a version back.
    """
    made = {guard: one for guard in way.guard if (one := metric_of(guard, way, known)) is not None}
    if not made:  # nothing is known of what was asked for, and nothing unjudged takes over
        made = {"errors": metric_of("errors", way, known) or {}}
    parts = {guard: part / len(experiment.challengers) for guard, part in way.alpha_parts(made).items()}
    found = {metric_name(guard, arm): {**one, "part": parts[guard]} for guard, one in made.items()}
    if "plan" in known.evidence and "errors" in made:
        both = experiment.shares[arm] + experiment.shares[experiment.control]
        units = by_users(way, parts["errors"])
        units["users"]["share"] = 100 * experiment.shares[arm] / both
        found |= {metric_name(name, arm): one for name, one in units.items()}
    return found
