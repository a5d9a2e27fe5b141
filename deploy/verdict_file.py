"""A file of numbers to judge: read, checked against its own plan, judged, and written as a record that replays."""

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from deploy.verdict.readings import Reading
from deploy.verdict.several import Judged, StepLook, judge_metrics
from deploy.verdict_looks import SEE_DOCS, LookSpec, keys
from deploy.verdict_metrics import Strict
from deploy.verdict_plan import PlanSpec
from flywheel.errors import UsageError
from flywheel.faults import sentence_of


class VerdictFile(Strict):
    """Plan and looks; `verdict` is what a record adds."""

    plan: PlanSpec
    looks: list[LookSpec] = Field(max_length=100_000)
    verdict: dict[str, Any] | None = None


def judge_file(path: Path) -> tuple[Judged, dict[str, Any]]:
    """Judge the numbers in a JSON file.

    Returns:
        The call with its readings, and the record: the file's plan and looks with the verdict.

    Raises:
        UsageError: The file cannot be read, is not as documented, or is a record whose looks say otherwise.
    """
    document = _read(path)
    try:
        found = VerdictFile.model_validate_json(json.dumps(document))
    except ValidationError as error:
        raise _refusal(f"{path}: {sentence_of(error, keys)} {SEE_DOCS}") from error
    looks = [_taken(path, found.plan, number, look) for number, look in enumerate(found.looks, start=1)]
    _check_order(path, looks)
    try:
        judged = judge_metrics(found.plan.build(), looks)
    except ValueError as error:
        raise _refusal(f"{path}: looks: {error} Correct that look, and judge again.") from error
    verdict = record(judged)
    if found.verdict is not None and found.verdict.get("call") != verdict["call"]:
        raise _refusal(
            f"{path}: verdict: the record says '{found.verdict.get('call')}', but its looks say '{verdict['call']}'."
            " Leave the key out to judge them anew."
        )
    return judged, {"plan": document["plan"], "looks": document["looks"], "verdict": verdict}


def record(judged: Judged) -> dict[str, Any]:
    """Return a verdict as plain JSON values; what is infinite is null."""
    readings = {name: _reading(reading) for name, reading in judged.readings.items()}
    return {"call": judged.call.value, "reason": judged.reason, "look": judged.look, "metrics": readings}


def _reading(reading: Reading) -> dict[str, Any]:
    intervals = {name: [end if math.isfinite(end) else None for end in ends] for name, ends in reading.interval.items()}
    said = {"worse": reading.worse, "good": reading.good, "holds": reading.holds, "sentence": reading.sentence}
    return {**said, "statistic": dict(reading.statistic), "interval": intervals, "counts": dict(reading.counts)}


def _refusal(sentence: str) -> UsageError:
    """Return the refusal, in one line whatever the file's own words are."""
    return UsageError("".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in sentence))


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(), object_pairs_hook=_once)
    except OSError as error:
        raise _refusal(f"{path} cannot be read: {error.strerror}. Name a JSON file with a plan and looks.") from error
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, or too deep
        raise _refusal(f"{path} is no JSON: {error}. See docs/verdict.md for its form.") from error
    if not isinstance(document, dict):
        raise _refusal(f"{path} must hold an object with the keys plan and looks. See docs/verdict.md for its form.")
    return document


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that stands twice: which one was meant?"""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
        raise ValueError(f"the key '{twice}' stands twice in one object")
    return found


def _taken(path: Path, plan: PlanSpec, number: int, look: LookSpec) -> StepLook:
    try:
        return look.taken(plan, f"looks.{number}")
    except ValueError as error:
        raise _refusal(f"{path}: {error}") from error


def _check_order(path: Path, looks: list[StepLook]) -> None:
    for number, (earlier, later) in enumerate(pairwise(looks), start=2):
        if later.step < earlier.step:
            raise _refusal(f"{path}: looks.{number}.step goes back to an earlier step. Put the looks in their order.")
