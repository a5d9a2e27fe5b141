"""What a look has found, in lines for people; made from its record, so that an earlier look can be told again."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

MOST_ESTIMATES = 2


def lines(name: str, body: Mapping[str, Any]) -> list[str]:
    """Say what the body of a look holds, a line each.

    Args:
        name: Of the use case.
        body: As `monitoring.look.looked.Looked.body` returns it.
    """
    said = [_past(name, datetime.fromisoformat(body["newest"]))] if body["newest"] is not None else []
    said += [f"{name}, {_answers(one)}" for one in body["answers"]]
    said += [f"{name}, version {version}: {one['reason']}" for version, one in body["drift"].items()]
    said += [f"{name}: {body['earlier']}"] if body["earlier"] else []
    said += [f"{name}: {one['reason']}" for one in body["releases"].values()]
    if body["concept"] is not None:
        newest = [body["concept"]["now"], *body["concept"]["alarms"]][-1]
        said.append(f"{name}, losses by day: {newest['reason']}")
    if body["outlook"] is not None:
        forecasts = list(body["outlook"]["forecasts"].items())[:MOST_ESTIMATES]
        said += [f"{name}, estimated {metric}: {one['reason']}" for metric, one in forecasts]
    if body["inputs"] is not None:
        said.append(f"{name}, inputs: {body['inputs']['agreement']['reason']}")
    said += [
        f"{name}, version {one['version']} is moved by {one['shift']:+.3f}: {one['why']}"
        for one in body["recalibrated"]
    ]
    return said + [f"{name}: {one['part']} could not be judged: {one['reason']}" for one in body["failures"]]


def _past(name: str, newest: datetime) -> str:
    day = newest.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return f"{name}: the newest answer is of {newest:%Y-%m-%d}; to judge that time, give --as-of {day:%Y-%m-%d}."


def _answers(one: Mapping[str, Any]) -> str:
    awaited = f", {one['pending']:,} still to come" if one["pending"] else ""
    never = f", {one['censored']:,} overdue" if one["censored"] else ""
    whose = f"version {one['version']} ({one['arm']})"
    return f"{whose}: {one['answered']:,} newest answers, outcomes of {one['labelled']:,}{awaited}{never}."


def open_alerts(name: str, count: int) -> str:
    """Say how many alerts are open, and how to see them."""
    if not count:
        return f"{name}: no alert is open."
    return f"{name}: {count} {'alert is' if count == 1 else 'alerts are'} open; see `flywheel alerts list`."
