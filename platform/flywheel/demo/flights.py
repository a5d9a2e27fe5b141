"""The flights that the demo replays: drawn at random from each month, in the order of their times."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from flywheel.demo.plan import Plan, Window
from flywheel.modules import load_module
from flywheel.usecase import UseCase


def load_flights(folder: Path, use_case: UseCase) -> pl.DataFrame:
    """Return every flight of the example's source, with its label, sorted by event time.

    Raises:
        DataError: The example is not there.
    """
    module = load_module(folder / (use_case.data.source.path or "source.py"), "source")
    frame: pl.DataFrame = module.load(None)
    return frame.sort(use_case.data.event_time, use_case.data.entity or use_case.data.event_time)


def draw(flights: pl.DataFrame, use_case: UseCase, plan: Plan) -> pl.DataFrame:
    """Draw each window's number of flights, without replacement; all of them where there are fewer."""
    time = use_case.data.event_time
    parts = [_draw_window(flights, time, window, plan.sample_seed) for window in plan.windows]
    return pl.concat(parts).sort(time, maintain_order=True)


def between(flights: pl.DataFrame, use_case: UseCase, start: datetime, end: datetime) -> pl.DataFrame:
    """Return the flights with start <= event time < end."""
    time = pl.col(use_case.data.event_time)
    return flights.filter((time >= start) & (time < end))


def requests_of(flights: pl.DataFrame, use_case: UseCase) -> list[dict[str, Any]]:
    """Turn flights into JSON-ready request rows, without the label."""
    text = flights.drop(use_case.data.label.column).with_columns(pl.col(pl.Datetime).dt.to_string("iso:strict"))
    return text.to_dicts()


def outcomes_of(flights: pl.DataFrame, use_case: UseCase) -> pl.DataFrame:
    """Return the outcome records of flights whose label becomes known; cancelled flights have none."""
    data = use_case.data
    return (
        flights.filter(pl.col(data.label.column).is_not_null())
        .select(
            entity=pl.col(data.entity or data.event_time).cast(pl.String),
            outcome=pl.col(data.label.column).cast(pl.Float64),
            event_time=pl.col(data.event_time),
            time_known=pl.col(data.event_time) + data.label.available_after,
        )
        .with_columns(prediction_id=pl.lit(None, pl.String), source=pl.lit("demo"))
    )


def write_broken_use_case(example: Path, target: Path, use_case: UseCase, since: datetime) -> Path:
    """Write a copy of the example whose features fail for flights out of JFK from `since` on.

    The fault is of a common kind: a calendar that was complete when the model was trained and is not extended for one
    airport. Training and its checks pass, because all their rows are older.

    Returns:
        Path of the copy's usecase.yaml.
    """
    target.mkdir(parents=True, exist_ok=True)
    for file in example.iterdir():
        if file.is_file():
            (target / file.name).write_bytes(file.read_bytes())
    features = target / use_case.features
    features.write_text(
        features.read_text()
        + _FAULT.format(time=json.dumps(use_case.data.event_time), since=json.dumps(since.isoformat()))
    )
    return target / "usecase.yaml"


_FAULT = """

# Added by the demo on purpose: a calendar that ends.
from datetime import datetime as _datetime

_sound_features = features
_CALENDAR_ENDS = {{"JFK": _datetime.fromisoformat({since})}}


def features(frame):
    for airport, end in _CALENDAR_ENDS.items():
        if frame.filter((frame["origin"] == airport) & (frame[{time}] >= end)).height:
            raise ValueError(f"no holiday calendar for {{airport}} after {{end}}")
    return _sound_features(frame)
"""


def _draw_window(flights: pl.DataFrame, time: str, window: Window, seed: int) -> pl.DataFrame:
    month = flights.filter((pl.col(time) >= window.start) & (pl.col(time) < window.end))
    return month.sample(min(window.requests, month.height), seed=seed, shuffle=False).sort(time, maintain_order=True)
