"""`flywheel monitor`: judge windows of the prediction log, and start a training when they show harm."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flywheel.errors import FlywheelError, UsageError
from flywheel.settings import load_settings
from flywheel.usecase import load_usecase
from monitoring.backtest.cli import app as backtest_app
from monitoring.drift.cli import app as drift_app
from monitoring.rows.cli import app as rows_app
from monitoring.schedule.cli import app as schedule_app
from monitoring.times import parse_time

if TYPE_CHECKING:
    from monitoring.job import Result
    from monitoring.look.looked import Looked

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
    if times[2] is not None and times[3] is not None and times[2] >= times[3]:
        raise UsageError(f"--since {since} does not lie before --as-of {as_of}. Correct one of them.")
    if json_file is not None and not json_file.absolute().parent.is_dir():
        raise UsageError(f"--json {json_file}: there is no folder {json_file.parent}. Make it first.")
    checked = load_usecase(use_case)
    # polars, SQLAlchemy and matplotlib: two seconds that `flywheel --help` does not need.
    from monitoring.job import check
    from monitoring.look.look import look
    from monitoring.reports.publication import Check
    from monitoring.windows.window import Span

    now = times[3] or datetime.now(UTC).replace(tzinfo=None)

    def tell(span: Span, result: "Result") -> None:
        typer.echo(_line(checked.name, str(span), asdict(result)))

    settings = load_settings()
    if times[0] is not None and times[1] is not None:
        span = Span(times[0], times[1], now)
        result = check(settings, Check(use_case, checked, span, start_training))
        tell(span, result)
        document: Any = asdict(result)
        faults = [result.fault]
    else:
        looked = look(settings, use_case, since=times[2], as_of=now, start_training=start_training, tell=tell)
        typer.echo("\n".join(_lines(checked.name, looked)))
        windows = [{"window": str(span), **asdict(result)} for span, result in looked.windows]
        document = {"windows": windows, **looked.body()}
        faults = [looked.training.fault if looked.training else None]
    if json_file is not None:
        json_file.write_text(json.dumps(document, indent=2) + "\n")
    if said := [fault for fault in faults if fault is not None]:
        raise FlywheelError(" ".join(said))


def _lines(name: str, looked: "Looked") -> list[str]:
    """Say what a look has found, a line each."""
    lines = [f"{name}: no window has anything new since the last look."] if not looked.windows else []
    lines += [f"{name}, version {version}: {one.reason}" for version, one in looked.drift.items()]
    lines += [f"{name}: {looked.earlier}"] if looked.earlier else []
    if looked.concept is not None:
        lines.append(f"{name}, losses by day: {looked.concept.newest.reason}")
    if looked.outlook is not None:
        lines += [f"{name}, estimated {one}: {it.reason}" for one, it in looked.outlook.forecasts.items()][:2]
    if looked.inputs is not None:
        lines.append(f"{name}, inputs: {looked.inputs.agreement.reason}")
    lines += [f"{name}: {part} could not be judged: {reason}" for part, reason in looked.failures]
    if looked.training is not None and looked.training.said:
        lines.append(f"{name}: {looked.training.said}")
    if looked.training is not None and looked.training.version is not None:
        lines.append(f"{name}: version {looked.training.version} was trained and waits for review.")
    opened = len(looked.alerts)
    return [*lines, f"{name}: {opened} {'alert is' if opened == 1 else 'alerts are'} open."]


def _given(start: str | None, end: str | None, since: str | None, as_of: str | None) -> list[tuple[str, str | None]]:
    return [("--start", start), ("--end", end), ("--since", since), ("--as-of", as_of)]


def _line(name: str, span: str, result: dict[str, object]) -> str:
    words = [f"{name}, {span}: {result['verdict']}.", str(result["reason"]), str(result["training"])]
    if result["retrained_version"]:
        words.append(f"Version {result['retrained_version']} was trained and waits for review.")
    if result["report_url"]:
        words.append(f"Report: {result['report_url']}")
    return " ".join(word for word in words if word)
