"""A model's champions over time: a line of their reigns, and by whose decision each came."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flask import Flask, Response, request
from mlflow.exceptions import MlflowException

from flywheel.errors import UsageError
from registry.history.account import Account, account, parse_time
from registry.history.champions import Reign
from registry.review import render
from registry.store.opened import gate_store

LEAST = 1.5  # percent of the line's width, so that a reign of minutes is seen


@dataclass(frozen=True)
class Stretch:
    """A reign on the line: where it begins and how long it is, in percent of the width; `turn` alternates."""

    reign: Reign
    start: float
    width: float
    turn: int
    lasted: timedelta


def add_pages(app: Flask) -> None:
    """Add the page."""
    app.add_url_rule("/flywheel/history/<name>", "flywheel_history", _history_page)


def _history_page(name: str) -> Response:
    store = gate_store()
    try:
        at = parse_time(request.args.get("at"))
        with store.engine.connect() as connection:
            found = account(connection, name, at)
        if found is None:
            store.get_registered_model(name)  # says that there is no such model
    except UsageError as fault:
        return render.missing(400, str(fault))
    except MlflowException as fault:
        return render.missing(fault.get_http_status_code(), fault.message)
    now = datetime.now(UTC)
    return render.page(
        "history.html",
        200,
        name=name,
        found=found,
        at=at,
        asked=request.args.get("at", ""),
        stretches=stretches(found, at or now) if found else [],
        now=now,
    )


def stretches(found: Account, until: datetime) -> list[Stretch]:
    """Place the champions on a line from the first of them to `until`, oldest first."""
    reigns = list(reversed(found.champions))
    if not reigns:
        return []
    begin = reigns[0].since
    whole = max((until - begin).total_seconds(), 1.0)
    rows = []
    for turn, reign in enumerate(reigns):
        lasted = (reign.until or until) - reign.since
        start = (reign.since - begin).total_seconds() / whole * 100
        width = max(lasted.total_seconds() / whole * 100, LEAST)
        start = round(max(0.0, min(start, 100 - width)), 2)
        rows.append(Stretch(reign, start, round(width, 2), turn % 2, lasted))
    return rows
