"""Plans and looks from outside, checked; and `judge_experiment`, which takes and returns plain JSON values."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from deploy.experiments.judging import document, judge
from deploy.experiments.looks import Look, LookDocument
from deploy.experiments.plan import Experiment
from deploy.experiments.sample_ratio import log_evidence
from deploy.experiments.words import one_line
from flywheel.errors import UsageError
from flywheel.faults import sentence_of
from flywheel.yaml_text import parse_yaml, yaml_reason

Model = TypeVar("Model", bound=BaseModel)


def judge_experiment(plan: Mapping[str, Any], looks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Judge an experiment at its last look.

    Args:
        plan: As experiment.yaml says it.
        looks: All looks so far in their order, each with all that was known at its time; see `LookDocument`.

    Returns:
        `call` (promote, roll back, not yet), `arm`, `reason`, `asks`, `stop`, and the numbers; plain JSON values.

    Raises:
        UsageError: The plan or a look is not as documented.
    """
    checked = parse_plan(plan, "The plan")
    return document(judge(checked, parse_looks(checked, looks)))


def deciding(plan: Mapping[str, Any], looks: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the looks that the judgement at the last of them goes by: at most two, so that a record stays small.

    The numbers are the last look's; of those before, only the one with the most evidence on the shares counts.

    Raises:
        UsageError: The plan or a look is not as documented.
    """
    checked = parse_plan(plan, "The plan")
    taken = parse_looks(checked, looks)
    highest = max(range(len(taken)), key=lambda number: log_evidence(taken[number].units, checked.shares))
    return [looks[number] for number in sorted({highest, len(looks) - 1})]


def load_plan(path: Path) -> Experiment:
    """Read experiment.yaml.

    Raises:
        UsageError: The file cannot be read, is no YAML, or is no experiment.
    """
    try:
        found = parse_yaml(path.read_text())
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "it is no text"
        raise UsageError(f"Experiment {path} cannot be read: {reason}. Name an experiment.yaml.") from fault
    except yaml.YAMLError as fault:
        raise UsageError(f"Experiment {path} is no YAML: {yaml_reason(fault)}. Correct it.") from fault
    return parse_plan(found, f"Experiment {path}")


def parse_plan(found: Any, what: str) -> Experiment:
    """Check a plan.

    Raises:
        UsageError: It is no experiment; the sentence begins with `what`.
    """
    return _checked(Experiment, found, what)


def parse_looks(plan: Experiment, looks: Sequence[Mapping[str, Any]]) -> list[Look]:
    """Check looks against their plan.

    Raises:
        UsageError: There is none, or one is not as documented, lacks an arm or a metric, or names one unknown.
    """
    if not looks:
        raise UsageError("The experiment has no look. Give at least one.")
    checked = []
    for number, look in enumerate(looks, start=1):
        one = Look.of(_checked(LookDocument, look, f"Look {number}"))
        _same(one.units, plan.shares, f"Look {number}: arm")
        _same(one.sums, plan.columns(), f"Look {number}: metric")
        for name, by_arm in one.sums.items():
            _same(by_arm, plan.shares, f"Look {number}: metrics.{name} of arm")
        checked.append(one)
    return checked


def _same(found: Mapping[str, Any], wanted: Mapping[str, Any], what: str) -> None:
    for name in found:
        if name not in wanted:
            raise UsageError(f"{what} '{name}' is not in the plan. It has {', '.join(wanted)}.")
    for name in wanted:
        if name not in found:
            raise UsageError(f"{what} '{name}' is missing. Add it, with zeros if there is nothing yet.")


def _checked(model: type[Model], found: Any, what: str) -> Model:
    try:
        return model.model_validate_json(json.dumps(found, default=_time))
    except ValidationError as fault:
        raise UsageError(one_line(f"{what}: {sentence_of(fault, _keys)} See docs/experiments.md.")) from fault
    except (TypeError, ValueError, RecursionError) as fault:
        raise UsageError(one_line(f"{what} is no plain document: {fault}. Correct it.")) from fault


def _keys(place: tuple[int | str, ...]) -> list[str]:
    """Return the keys of a file; pydantic names the kind of a measure after it, where the file has no key."""
    return [str(part) for number, part in enumerate(place) if number == 0 or place[number - 1] != "measure"]


def _time(value: object) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    raise TypeError(f"{value!r} has no place in it")
