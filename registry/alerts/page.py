"""The page of open alerts, in MLflow's server and behind its login: what is wrong, and buttons for who may answer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Flask, Response, request

from flywheel.alerts import RANK, Alert, Board, Severity, Silence, read_board
from registry.caller import caller, floor_policy
from registry.review import render
from registry.store.opened import gate_store

REPORT = " Report: "  # between a sentence and the address of a report
TONES = {Severity.CRITICAL: "bad", Severity.WARNING: "warn", Severity.INFO: ""}


@dataclass(frozen=True)
class Wish:
    """Which alerts somebody wants to see; '' is any."""

    use_case: str = ""
    severity: str = ""

    def fits(self, alert: Alert) -> bool:
        """Say whether an alert is wanted."""
        return self.use_case in ("", alert.use_case) and self.severity in ("", alert.finding.severity.value)


@dataclass(frozen=True)
class Shown:
    """An alert as the page has it: its tone, and the silence under which nobody is told of it."""

    alert: Alert
    tone: str
    silence: Silence | None

    @property
    def what(self) -> str:
        """The sentence, without the address of a report."""
        return self.alert.finding.what.partition(REPORT)[0]

    @property
    def report(self) -> str:
        """The address of a report; '' without one, or where it is none that a browser may follow."""
        address = self.alert.finding.what.partition(REPORT)[2]
        return address if address.startswith(("http://", "https://")) else ""


def add_pages(app: Flask) -> None:
    """Add the page; call it before the login is added, which then guards it."""
    app.add_url_rule("/flywheel/alerts", "flywheel_alerts", _alerts_page)


def _alerts_page() -> Response:
    wish = read_wish(request.args)
    if wish is None:
        known = ", ".join(RANK)
        return render.missing(400, f"There is no severity '{request.args['severity']}'. There are {known}.")
    with gate_store().engine.connect() as connection:
        board = read_board(connection)
    policy, now = floor_policy(), datetime.now(UTC)
    operators = policy.allowed(*policy.may.operate)
    return render.page(
        "alerts.html",
        200,
        shown=shown(board, wish, now),
        total=len(board.alerts),
        wish=wish,
        use_cases=sorted({alert.use_case for alert in board.alerts.values()}),
        severities=[severity.value for severity in reversed(Severity)],
        silences=sorted((one for one in board.silences.values() if now < one.until), key=lambda one: one.until),
        operates=caller() in operators,
        operators=sorted(operators),
        now=now,
    )


def read_wish(arguments: Mapping[str, str]) -> Wish | None:
    """Read an address's arguments; None where it names a severity that there is not."""
    severity = arguments.get("severity", "")
    known = ("", *(one.value for one in Severity))
    return Wish(arguments.get("usecase", ""), severity) if severity in known else None


def shown(board: Board, wish: Wish, now: datetime) -> list[Shown]:
    """Return the alerts that are wanted: the gravest first, of these those that nobody knows of."""
    found = [Shown(one, TONES[one.finding.severity], board.silence_of(one, now)) for one in _fitting(board, wish)]
    return sorted(found, key=_order)


def _fitting(board: Board, wish: Wish) -> Iterable[Alert]:
    return (alert for alert in board.alerts.values() if wish.fits(alert))


def _order(one: Shown) -> tuple[int, bool, datetime, str]:
    is_known = one.alert.acknowledged is not None or one.silence is not None
    return -RANK[one.alert.finding.severity], is_known, one.alert.opened, one.alert.id
