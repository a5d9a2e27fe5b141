"""`flywheel monitor`: judge windows of the prediction log, and start a training when they show harm."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flywheel.errors import FlywheelError, UsageError
from flywheel.settings import load_settings
from flywheel.usecase import load_usecase
from monitoring.backtest.cli import app as backtest_app
from monitoring.drift.cli import app as drift_app
from monitoring.schedule.cli import app as schedule_app
from monitoring.times import parse_time

if TYPE_CHECKING:
    from monitoring.job import Result

app = typer.Typer()
app.add_typer(schedule_app)
app.add_typer(drift_app)
app.add_typer(backtest_app)

EXAMPLE = (
    "Example: flywheel monitor examples/flights/usecase.yaml --start 2013-04-01 --end 2013-05-01 --as-of 2013-05-02"
)


@app.command(epilog=EXAMPLE)
def monitor(
    use_case: Annotated[Path, typer.Argument(metavar="USECASE", help="Path of a usecase.yaml.")],
    start: Annotated[
        str | None, typer.Option(help="Judge one window: its start in event time (ISO 8601, UTC).")
    ] = None,
    end: Annotated[str | None, typer.Option(help="Its end, excluded.")] = None,
    since: Annotated[str | None, typer.Option(help="Judge all windows from here on that have anything new.")] = None,
    as_of: Annotated[
        str | None, typer.Option(help="Nothing known later is used; training is cut at it. By default now.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result to this file.")] = None,
    start_training: Annotated[
        bool, typer.Option(help="Let harm start `mlflow run`, within cooldown and budget.")
    ] = True,
) -> None:
    """Judge windows: realised loss against the reference, Evidently's reports, retraining on harm.

    Without --start and --end: all of the last windows that have anything new, as the schedule does.
    """
    start, end, since, as_of = (text or None for text in (start, end, since, as_of))  # MLproject leaves them empty
    if (start is None) != (end is None) or (start is not None and since is not None):
        raise UsageError("Give --start and --end for one window, or --since for all from there on, or none of them.")
    times = [None if text is None else parse_time(option, text) for option, text in _given(start, end, since, as_of)]
    if json_file is not None and not json_file.absolute().parent.is_dir():
        raise UsageError(f"--json {json_file}: there is no folder {json_file.parent}. Make it first.")
    checked = load_usecase(use_case)
    # polars, SQLAlchemy and matplotlib: two seconds that `flywheel --help` does not need.
    from monitoring.job import check
    from monitoring.reports.publication import Check
    from monitoring.rounds import look
    from monitoring.windows.window import Span

    now = times[3] or datetime.now(UTC).replace(tzinfo=None)

    def tell(span: Span, result: "Result") -> None:
        typer.echo(_line(checked.name, str(span), asdict(result)))

    if times[0] is not None and times[1] is not None:
        span = Span(times[0], times[1], now)
        results = [check(load_settings(), Check(use_case, checked, span, start_training))]
        tell(span, results[0])
    else:
        settings = load_settings()
        results = look(settings, use_case, since=times[2], as_of=now, start_training=start_training, tell=tell)
        if not results:
            typer.echo(f"{checked.name}: nothing new since the last look.")
    if json_file is not None:
        documents = [asdict(result) for result in results]
        json_file.write_text(json.dumps(documents[0] if start is not None else documents, indent=2) + "\n")
    if faults := [result.fault for result in results if result.fault is not None]:
        raise FlywheelError(" ".join(faults))


def _given(start: str | None, end: str | None, since: str | None, as_of: str | None) -> list[tuple[str, str | None]]:
    return [("--start", start), ("--end", end), ("--since", since), ("--as-of", as_of)]


def _line(name: str, span: str, result: dict[str, object]) -> str:
    words = [f"{name}, {span}: {result['verdict']}.", str(result["reason"]), str(result["training"])]
    if result["retrained_version"]:
        words.append(f"Version {result['retrained_version']} was trained and waits for review.")
    if result["report_url"]:
        words.append(f"Report: {result['report_url']}")
    return " ".join(word for word in words if word)
