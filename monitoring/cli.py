"""`flywheel monitor`: look at a use case, or judge one window of its log; and start a training where that follows."""

import json
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flywheel.errors import FlywheelError, UsageError
from flywheel.settings import Settings, load_settings
from flywheel.usecase import load_usecase
from monitoring.backtest.cli import app as backtest_app
from monitoring.drift.cli import app as drift_app
from monitoring.look.parts import Part
from monitoring.look.telling import Telling
from monitoring.look.told import lines, open_alerts
from monitoring.rows.cli import app as rows_app
from monitoring.schedule.cli import app as schedule_app
from monitoring.times import parse_time

if TYPE_CHECKING:
    from monitoring.job import Result
    from monitoring.windows.window import Span

app = typer.Typer()
app.add_typer(schedule_app)
app.add_typer(drift_app)
app.add_typer(backtest_app)
app.add_typer(rows_app)

EXAMPLE = (
    "Example: flywheel monitor examples/flights/usecase.yaml --start 2013-04-01 --end 2013-05-01 --as-of 2013-05-02"
)


@app.command(epilog=EXAMPLE)
def monitor(
    use_case: Annotated[Path, typer.Argument(metavar="USECASE", help="Path of a usecase.yaml.")],
    start: Annotated[
        str | None, typer.Option(help="Judge one window alone: its start in event time (ISO 8601, UTC).")
    ] = None,
    end: Annotated[str | None, typer.Option(help="Its end, excluded.")] = None,
    since: Annotated[str | None, typer.Option(help="Judge all windows from here on that have anything new.")] = None,
    as_of: Annotated[
        str | None, typer.Option(help="Nothing known later is used; training is cut at it. By default now.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result to this file.")] = None,
    start_training: Annotated[
        bool, typer.Option(help="Let the policy decide about training, and start `mlflow run` where it says so.")
    ] = True,
) -> None:
    """Look at a use case: drift, losses, estimates, inputs, windows against the reference; alerts, and retraining.

    All that is new since the last look is judged, as the schedule does. With --start and --end it is one window's
    realised loss alone. That window counts for the retraining policy as the windows of looks do, where it lies behind
    the newest training; and it opens or ends the alert of the loss where no later window was judged.
    """
    start, end, since, as_of = (text or None for text in (start, end, since, as_of))  # MLproject leaves them empty
    if (start is None) != (end is None) or (start is not None and since is not None):
        raise UsageError("Give --start and --end for one window, or --since for all from there on, or none of them.")
    begins, ends, first, told = (
        None if text is None else parse_time(option, text) for option, text in _given(start, end, since, as_of)
    )
    today = datetime.now(UTC).replace(tzinfo=None)
    if told is not None and told > today:  # blocks would keep labels for good that may still change
        raise UsageError(f"--as-of {as_of} lies in the future, of which nothing is known. Give an earlier time.")
    now = told or today
    if ends is not None and told is None and ends > now:
        raise UsageError(f"--end {end} lies in the future, so the window is not over. Give an earlier one.")
    if first is not None and first >= now:
        other = "now" if as_of is None else f"--as-of {as_of}"
        raise UsageError(f"--since {since} does not lie before {other}. Correct one of them.")
    if json_file is not None and not json_file.absolute().parent.is_dir():
        raise UsageError(f"--json {json_file}: there is no folder {json_file.parent}. Make it first.")
    settings, name = load_settings(), load_usecase(use_case).name
    with Telling(shown=json_file is None and sys.stderr.isatty()) as telling:
        asked = Asked(settings, use_case, name, now, start_training=start_training)
        if begins is not None and ends is not None:
            document, fault = _window(asked, begins, ends, telling)
        else:
            document, fault = _look(asked, first, telling)
    if json_file is not None:
        json_file.write_text(json.dumps(document, indent=2) + "\n")
    if fault is not None:
        raise FlywheelError(fault)


@dataclass(frozen=True)
class Asked:
    """What somebody wants to have looked at, and when."""

    settings: Settings
    file: Path
    name: str
    as_of: datetime
    start_training: bool


def _window(asked: Asked, start: datetime, end: datetime, telling: Telling) -> tuple[dict[str, Any], str | None]:
    """Judge one window; return the result as plain JSON, and why a training failed."""
    telling.begin(Part.LOG.doing())
    # polars, SQLAlchemy and matplotlib: two seconds that `flywheel --help` does not need.
    from monitoring.look.by_hand import check
    from monitoring.reports.publication import Check
    from monitoring.windows.window import Span

    span = Span(start, end, asked.as_of)
    request = Check(asked.file, load_usecase(asked.file), span, asked.start_training)
    result = check(asked.settings, request, telling.begin)
    telling.line(_line(asked.name, str(span), asdict(result)))
    named = {"use_case": asked.name, "start": start.isoformat(), "end": end.isoformat()}
    return {**named, "as_of": asked.as_of.isoformat(), **asdict(result)}, result.fault


def _look(asked: Asked, since: datetime | None, telling: Telling) -> tuple[dict[str, Any], str | None]:
    """Look once; return what was found as plain JSON, and why a training failed."""
    telling.begin(Part.LAST.doing())
    # As above; and the second import costs a look where nothing has changed more than all the rest of it.
    from monitoring.look.again import unchanged

    now, decides = asked.as_of, asked.start_training
    before = unchanged(asked.settings, asked.file, load_usecase(asked.file), since=since, as_of=now, decides=decides)
    if before is not None:
        kept, alerts = before
        same = f"nothing has come and nothing is due since the look of {kept.looked:%Y-%m-%d %H:%M} UTC, which found"
        again = [_line(asked.name, one["window"], one) for one in kept.body["windows"]]
        found = [*again, *lines(asked.name, kept.body), open_alerts(asked.name, len(alerts))]
        for text in (f"{asked.name}: {same}:", *found):
            telling.line(text)
        return {"unchanged_since": kept.looked.isoformat(), **kept.body}, None

    from monitoring.look.look import look

    def tell(span: "Span", result: "Result") -> None:
        telling.line(_line(asked.name, str(span), asdict(result)))

    looked = look(
        asked.settings, asked.file, since=since, as_of=now, start_training=decides, tell=tell, begin=telling.begin
    )
    body, training = looked.body(), looked.training
    if not looked.windows:
        telling.line(f"{asked.name}: no window has anything {'new' if looked.has_judged else 'in it'} to judge.")
    for text in lines(asked.name, body):
        telling.line(text)
    if training is not None and training.said:
        telling.line(f"{asked.name}: {training.said}")
    if training is not None and training.version is not None:
        telling.line(f"{asked.name}: version {training.version} was trained and waits for review.")
    telling.line(open_alerts(asked.name, len(looked.alerts)))
    windows = [{"window": str(span), **asdict(result)} for span, result in looked.windows]
    return {"windows": windows, "unchanged_since": None, **body}, None if training is None else training.fault


def _given(start: str | None, end: str | None, since: str | None, as_of: str | None) -> list[tuple[str, str | None]]:
    return [("--start", start), ("--end", end), ("--since", since), ("--as-of", as_of)]


def _line(name: str, span: str, result: dict[str, Any]) -> str:
    words = [f"{name}, {span}: {result['verdict']}.", result["reason"], result["training"], result["alert"]]
    if result["retrained_version"]:
        words.append(f"Version {result['retrained_version']} was trained and waits for review.")
    if result["report_url"]:
        words.append(f"Report: {result['report_url']}")
    return " ".join(word for word in words if word)
