"""A watch as bytes: a line with a digest, then names and arrays; a damaged file is told and never taken for a watch."""

import hashlib
import io
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import orjson

from flywheel.errors import IntegrityError
from flywheel.monitor_spec import Drift
from flywheel.statistics import Floats
from monitoring.drift.calendar import Calendar
from monitoring.drift.evidence import Detectors
from monitoring.drift.kind import KindWatch, numbers_of_columns
from monitoring.drift.relearning import Relearning
from monitoring.drift.shares import Share
from monitoring.drift.streams import Kind, Stream, Streams
from monitoring.drift.tails import Tail, Views
from monitoring.drift.watch import Watch
from monitoring.drift.whitening import Whitener

FORMAT, VERSION = "flywheel-drift", 2
WHITENER = ("floor", "state", "covariance", "gain", "doubt", "squares", "log_spread", "count")
DETECTORS = ("log_sum", "log_best", "age", "moved", "certain", "lasting")
RELEARNING = ("left", "moved", "certain", "age")


def watch_bytes(watch: Watch) -> bytes:
    """Return a watch as bytes; the same watch gives the same bytes."""
    arrays: dict[str, Floats] = {}
    for kind, one in watch.kinds.items():
        arrays |= {f"{kind.value}.{name}": getattr(one.whitener, name) for name in WHITENER}
        arrays |= {f"{kind.value}.{name}": getattr(one.detectors, name) for name in DETECTORS}
        arrays |= {f"{kind.value}.again.{name}": getattr(one.moved, name) for name in RELEARNING}
        arrays |= {f"{kind.value}.{name}": value for name, value in _others(one).items()}
    head = orjson.dumps(_head(watch) | {"arrays": list(arrays)})
    body = io.BytesIO()
    body.write(head + b"\n")
    for array in arrays.values():
        np.save(body, array, allow_pickle=False)
    content = body.getvalue()
    return f"{FORMAT} {VERSION} sha256:{hashlib.sha256(content).hexdigest()}\n".encode() + content


def watch_from(content: bytes, source: str) -> Watch:
    """Read what `watch_bytes` returned; messages call it `source`.

    Raises:
        IntegrityError: It is damaged, of another kind, or of another release.
    """
    line, _, body = content.partition(b"\n")
    words = line.decode(errors="replace").split(" ")
    if len(words) != 3 or words[:2] != [FORMAT, str(VERSION)]:
        raise IntegrityError(f"State {source} is none of drift, format {VERSION}. Learn the reference again.")
    if words[2] != f"sha256:{hashlib.sha256(body).hexdigest()}":
        raise IntegrityError(f"State {source} is damaged: its digest does not match. Learn the reference again.")
    found = io.BytesIO(body)
    head = orjson.loads(found.readline())
    return _watch(head, {name: np.load(found, allow_pickle=False) for name in head["arrays"]})


def _head(watch: Watch) -> dict[str, Any]:
    return {
        "settings": watch.settings.model_dump(mode="json"),
        "streams": {
            kind.value: [asdict(stream) for stream in streams] for kind, streams in watch.streams.by_kind.items()
        },
        "calendar": asdict(watch.calendar) | {"every": watch.calendar.every.total_seconds()},
        "reference": watch.reference,
        "usual_rows": {kind.value: rows for kind, rows in watch.usual_rows.items()},
        "newest": watch.newest,
        "present": watch.present,
    }


def _others(one: KindWatch) -> dict[str, Floats]:
    views = one.views
    return {
        "log_prior": one.log_prior,
        "shared": views.shared,
        "remaining": views.left,
        "varying": views.varying.astype(np.float64),
        "tails": np.stack([views.own.log_weights, views.rest.log_weights]),
        "level": one.level,
        "least": one.least,
    }


def _watch(head: dict[str, Any], arrays: dict[str, Floats]) -> Watch:
    by_kind = {Kind(kind): tuple(_stream(one) for one in streams) for kind, streams in head["streams"].items()}
    return Watch(
        Drift.model_validate(head["settings"]),
        Streams(by_kind),
        _calendar(head["calendar"]),
        tuple(datetime.fromisoformat(start) for start in head["reference"]),
        {Kind(kind): rows for kind, rows in head["usual_rows"].items()},
        {kind: _kind(kind, streams, arrays) for kind, streams in by_kind.items()},
        None if head["newest"] is None else datetime.fromisoformat(head["newest"]),
        tuple(head["present"]),
    )


def _stream(found: dict[str, Any]) -> Stream:
    share = None if found["share"] is None else Share(**found["share"])
    return Stream(**found | {"kind": Kind(found["kind"]), "places": tuple(found["places"]), "share": share})


def _calendar(found: dict[str, Any]) -> Calendar:
    days = tuple((date.fromisoformat(day), name) for day, name in found["days"])
    return Calendar(
        **found
        | {
            "every": timedelta(seconds=found["every"]),
            "origin": datetime.fromisoformat(found["origin"]),
            "holidays": tuple(found["holidays"]),
            "days": days,
        }
    )


def _kind(kind: Kind, streams: tuple[Stream, ...], arrays: dict[str, Floats]) -> KindWatch:
    part = {
        name.removeprefix(f"{kind.value}."): array
        for name, array in arrays.items()
        if name.startswith(f"{kind.value}.")
    }
    whitener = Whitener(np.ones(part["state"].shape[2] - 1), np.ones(len(streams)), 0)
    for name in WHITENER:
        setattr(whitener, name, part[name])
    own, rest = part["tails"]
    views = Views(
        Tail(own),
        Tail(rest),
        numbers_of_columns(streams),
        part["shared"],
        part["remaining"],
        part["varying"].astype(bool),
    )
    detectors = Detectors(*(part[name] for name in DETECTORS))
    moved = Relearning(*(part[f"again.{name}"] for name in RELEARNING))
    return KindWatch(kind, streams, whitener, part["log_prior"], views, part["level"], part["least"], detectors, moved)
