"""Served against replayed, row by row: which feature or output differs, in how many rows, and in which one first."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import polars as pl

from flywheel.fields import read_fields
from monitoring.skew.replay import Replayed, Replayer
from monitoring.windows.raw import raw

TOLERANCE = 1e-5  # of a number, absolute or relative: a graph's single precision; training measures parity by it too
KEYS = ("prediction_id", "event_time")
PROBABILITY = "probability"


@dataclass(frozen=True)
class Difference:
    """One feature or output that was served otherwise than it is replayed.

    Attributes:
        kind: feature or output.
        name: Of it.
        rows: How many rows differ.
        compared: How many were compared.
        largest: Largest absolute difference of numbers; None for text and where one side is missing.
        prediction_id: Of the first differing row in order of event time.
        event_time: Of that row.
        served: Its value in the log, as text.
        replayed: Its value now.
    """

    kind: str
    name: str
    rows: int
    compared: int
    largest: float | None
    prediction_id: str
    event_time: datetime
    served: str
    replayed: str


@dataclass(frozen=True)
class Agreement:
    """What a replay found.

    Attributes:
        version: That answered.
        rows: Replayed.
        features: How many feature values were logged and compared.
        outputs: Whether outputs could be computed again.
        differences: Features first, each kind by the first row that differs.
        reason: The sentence.
    """

    version: str
    rows: int
    features: int
    outputs: bool
    differences: tuple[Difference, ...]
    reason: str

    @property
    def agrees(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    def body(self) -> dict[str, Any]:
        """Return it as plain values, for an event."""
        found = asdict(self)
        found["differences"] = [
            {**one, "event_time": one["event_time"].isoformat()} for one in map(asdict, self.differences)
        ]
        return found


def replay_rows(version: str, rows: pl.DataFrame, replayer: Replayer) -> Agreement:
    """Replay the rows of one version and compare.

    Args:
        version: The registry's number, for the sentence.
        rows: n_rows of the log with `prediction_id`, `event_time`, `inputs`, `outputs` and, where features were read
            online, `online_features` (JSON, an object by name).
        replayer: Of that version.

    Raises:
        DataError: The feature function fails on them.
    """
    contract = replayer.package.contract
    ordered = rows.sort("event_time", "prediction_id")
    again = replayer.replay(read_fields(ordered, "inputs", {column.name: column.type for column in contract.columns}))
    served = read_fields(ordered, "outputs", {output.name: output.type for output in contract.outputs})
    if PROBABILITY in served.columns:  # as the model gave it; a decision follows from it
        served = served.with_columns(raw(served[PROBABILITY], ordered))
    read = _online(ordered)
    features = _compare("feature", ordered, read, again.features)
    outputs = () if again.outputs is None else _compare("output", ordered, served, again.outputs)
    found = (*features, *outputs)
    return Agreement(
        version=version,
        rows=ordered.height,
        features=sum(read[name].count() for name in read.columns if name in again.features.columns),
        outputs=again.outputs is not None,
        differences=found,
        reason=_sentence(version, ordered.height, again, found),
    )


def _online(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the feature values read online, n_rows by all names among them; null where a row has none."""
    texts = rows["online_features"].to_list() if "online_features" in rows.columns else [None] * rows.height
    parsed = [_object(text) for text in texts]
    names = list(dict.fromkeys(name for one in parsed for name in one))
    return pl.DataFrame({name: pl.Series(name, [one.get(name) for one in parsed], strict=False) for name in names})


def _object(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _compare(kind: str, rows: pl.DataFrame, served: pl.DataFrame, again: pl.DataFrame) -> tuple[Difference, ...]:
    """Compare columns of the same names; a value that was not logged is not compared, except with outputs."""
    differing, all_rows = (
        _differing(served, again, consequences=kind == "output"),
        pl.repeat(True, rows.height, eager=True),
    )
    found = []
    for name, differs in differing.items():
        left, right = served[name], again[name]
        compared = all_rows if kind == "output" else left.is_not_null()
        if (differs & compared).any():
            found.append(_difference(kind, name, rows, (left, right), differs & compared, int(compared.sum())))
    return tuple(sorted(found, key=lambda one: (one.event_time, one.prediction_id)))


def _differing(served: pl.DataFrame, again: pl.DataFrame, *, consequences: bool) -> dict[str, pl.Series]:
    """Return which rows of each common column differ.

    With `consequences`, what is no number (a class, a decision) follows from numbers: where these agree it only lay on
    the edge.
    """
    common = [name for name in again.columns if name in served.columns]
    found = {name: _differs(served[name], again[name]) for name in common}
    numbers = [found[name] for name in common if again.schema[name].is_numeric()]
    if not consequences or not numbers or len(numbers) == len(common):
        return found
    moved = pl.select(pl.any_horizontal(numbers)).to_series()
    return {name: rows if again.schema[name].is_numeric() else rows & moved for name, rows in found.items()}


def _differs(left: pl.Series, right: pl.Series) -> pl.Series:
    if _is_number(left) and _is_number(right):
        one, other = left.cast(pl.Float64).fill_nan(None), right.cast(pl.Float64).fill_nan(None)
        room = TOLERANCE * pl.select(pl.max_horizontal(one.abs(), other.abs(), pl.lit(1.0))).to_series()
        return ((one - other).abs() > room).fill_null(value=False) | (one.is_null() != other.is_null())
    return left.cast(pl.String).ne_missing(right.cast(pl.String))


def _is_number(column: pl.Series) -> bool:
    return column.dtype.is_numeric() or column.dtype == pl.Boolean


def _difference(
    kind: str, name: str, rows: pl.DataFrame, sides: tuple[pl.Series, pl.Series], differs: pl.Series, compared: int
) -> Difference:
    left, right = sides
    first = int(differs.arg_true()[0])
    largest = None
    if _is_number(left) and _is_number(right):
        gap = (left.cast(pl.Float64) - right.cast(pl.Float64)).abs().max()
        largest = float(gap) if isinstance(gap, float) else None
    return Difference(
        kind=kind,
        name=name,
        rows=int(differs.sum()),
        compared=compared,
        largest=largest,
        prediction_id=str(rows["prediction_id"][first]),
        event_time=rows["event_time"][first],
        served=str(left[first]),
        replayed=str(right[first]),
    )


def _sentence(version: str, rows: int, again: Replayed, found: Sequence[Difference]) -> str:
    if not rows:
        return f"Version {version} answered nothing in this window."
    if not found:
        what = "features and answers" if again.outputs is not None else "features (it has no graph to ask again)"
        return f"{rows:,} rows of version {version}, replayed, give the same {what} as were served."
    first = found[0]
    where = f"prediction {first.prediction_id} of {first.event_time:%Y-%m-%d %H:%M}"
    share = f"{first.rows:,} of {first.compared:,} rows"
    return (
        f"Version {version}: {first.kind} '{first.name}' was served otherwise than training computes it, in {share}; "
        f"first in {where}: served {first.served}, replayed {first.replayed}."
    )
