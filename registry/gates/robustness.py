"""Gate: does the version behave as the use case wants, and answer whatever its own contract allows?"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from flywheel.column_rules import EPOCH
from flywheel.compatibility import Inputs
from flywheel.limits import Limits
from registry.gates.asking import question
from registry.gates.evidence import Measurement
from registry.gates.gate import Candidate, UnmeasurableError, judged
from registry.gates.sample import read_evaluation
from registry.gates.server import RefusedQuestionError

UNSEEN = "a value that no training has seen"
LARGE, LARGE_WHOLE = 1e12, 10**9
FAR = (datetime(1970, 1, 1), datetime(2100, 1, 1))
KINDS: dict[str, Any] = {
    "double": pl.Float64, "float": pl.Float64, "long": pl.Int64, "integer": pl.Int64, "string": pl.String,
    "boolean": pl.Boolean, "datetime": pl.Datetime("us"),
}  # fmt: skip
SHOWN = 5


@dataclass(frozen=True)
class Probe:
    """A row that the contract allows, and what is odd about it."""

    name: str
    row: Mapping[str, Any]


class Robustness:
    """Counts behaviours that failed in training, and allowed but odd rows that the served model cannot answer."""

    name = "robustness"
    title = "Behaviour on odd input"

    def measure(self, candidate: Candidate, limits: Limits) -> Measurement:
        """Read evaluation.json, then ask about missing values, unseen categories and extreme values."""
        behaviours = read_evaluation(candidate.folder).get("behaviours") or []
        failed = [f"behaviour '{one['name']}'" for one in behaviours if one.get("passed") is False]
        probes = make_probes(candidate)
        failed += [f"{probe.name}: {fault}" for probe in probes if (fault := _fault(candidate, probe))]
        limit = limits.behaviours_failed
        tried = f"{len(behaviours)} behaviours and {len(probes)} odd rows"
        said = "; ".join(failed[:SHOWN])
        return judged(
            limit is None or len(failed) <= limit,
            f"{len(failed)} of {tried} failed: {said}." if failed else f"All of {tried} were answered as they should.",
            value=float(len(failed)),
            limit=None if limit is None else float(limit),
            unit="failed",
            details={"failed": failed[:50], "behaviours": len(behaviours), "odd_rows": len(probes)},
        )


def make_probes(candidate: Candidate) -> list[Probe]:
    """Return odd rows: each a valid row in which one input, or all that may, was changed.

    Raises:
        UnmeasurableError: There is no valid row to start from.
    """
    rows = candidate.rows
    if rows is None or not rows.height or not candidate.inputs:
        raise UnmeasurableError("There is no row with named inputs to change: log the model with an input example.")
    row = rows.row(rows.height // 2, named=True)
    probes = [Probe(name, {**row, one.name: value}) for one in candidate.inputs for name, value in odd_values(one)]
    nullable = [one.name for one in candidate.inputs if one.nullable]
    if nullable:
        probes.append(Probe("all that may be missing is missing", {**row, **dict.fromkeys(nullable)}))
    return probes


def odd_values(one: Inputs) -> list[tuple[str, Any]]:
    """Return odd values that an input allows, each with its name."""
    found: list[tuple[str, Any]] = [(f"{one.name} missing", None)] if one.nullable else []
    if one.type == "string" and one.categories is None:
        found += [(f"{one.name} of an unseen category", UNSEEN), (f"{one.name} empty", "")]
    if one.type in ("double", "float", "long", "integer"):
        whole = one.type in ("long", "integer")
        low, high = (-LARGE_WHOLE, LARGE_WHOLE) if whole else (-LARGE, LARGE)
        ends = {_within(end, one, whole=whole) for end in (low, 0, high)}
        found += [(f"{one.name} at {end:g}", end) for end in sorted(ends)]
    if one.type == "datetime":
        found += [(f"{one.name} at {end:%Y}", end) for end in FAR if _allowed(end, one)]
    return found


def _within(value: float, one: Inputs, *, whole: bool) -> float | int:
    low = -math.inf if one.minimum is None else one.minimum
    high = math.inf if one.maximum is None else one.maximum
    kept = min(max(value, low), high)
    if not whole:
        return float(kept)
    return math.ceil(kept) if kept == low else math.floor(kept)


def _allowed(moment: datetime, one: Inputs) -> bool:
    seconds = (moment - EPOCH).total_seconds()
    return (one.minimum is None or seconds >= one.minimum) and (one.maximum is None or seconds <= one.maximum)


def _fault(candidate: Candidate, probe: Probe) -> str:
    """Return why a row is not answered as it should be; '' when it is."""
    kinds = {one.name: KINDS.get(one.type) for one in candidate.inputs}
    frame = pl.DataFrame(
        {name: pl.Series(name, [value], _kind(kinds.get(name), value)) for name, value in probe.row.items()}
    )
    try:
        answers = candidate.server.ask(question(frame))
    except RefusedQuestionError as fault:
        return f"{fault.status} {str(fault).rstrip('.')[:150]}"
    if len(answers) != 1:
        return f"{len(answers)} answers to one row"
    odd = [name for name, value in answers[0].items() if not _sensible(name, value)]
    return f"output '{odd[0]}' is {answers[0][odd[0]]!r}" if odd else ""


def _kind(kind: Any, value: Any) -> Any:
    return pl.String if isinstance(value, str) else kind


def _sensible(name: str, value: Any) -> bool:
    if value is None:
        return False
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return True
    bounded = name == "probability" or name.startswith("probability_")
    return math.isfinite(value) and (not bounded or -1e-9 <= value <= 1 + 1e-9)
