"""`flywheel monitor`: check one window of the prediction log, and start a training when it shows harm."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from flywheel.errors import FlywheelError, UsageError
from flywheel.settings import load_settings
from flywheel.usecase import load_usecase
from monitoring.backtest.cli import app as backtest_app
from monitoring.times import parse_time

app = typer.Typer()
app.add_typer(backtest_app)

EXAMPLE = (
    "Example: flywheel monitor examples/flights/usecase.yaml --start 2013-04-01 --end 2013-05-01 --as-of 2013-05-02"
)


@app.command(epilog=EXAMPLE)
def monitor(
    use_case: Annotated[Path, typer.Argument(metavar="USECASE", help="Path of a usecase.yaml.")],
    start: Annotated[str, typer.Option(help="Start of the window in event time, included (ISO 8601, UTC).")],
    end: Annotated[str, typer.Option(help="End of the window, excluded.")],
    as_of: Annotated[str, typer.Option(help="Nothing known later is used; training is cut at it.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result to this file.")] = None,
    start_training: Annotated[
        bool, typer.Option(help="Let harm start `mlflow run`, within cooldown and budget.")
    ] = True,
) -> None:
    """Check a window: realised loss against the reference, Evidently's reports, retraining on harm."""
    times = [parse_time("--start", start), parse_time("--end", end), parse_time("--as-of", as_of)]
    # polars, SQLAlchemy and matplotlib: two seconds that `flywheel --help` does not need.
    from monitoring.job import check
    from monitoring.reports.publication import Check
    from monitoring.windows.window import Span

    span = Span(*times)
    if json_file is not None and not json_file.absolute().parent.is_dir():
        raise UsageError(f"--json {json_file}: there is no folder {json_file.parent}. Make it first.")
    checked = load_usecase(use_case)
    result = check(load_settings(), Check(use_case, checked, span, start_training))
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(result), indent=2) + "\n")
    typer.echo(_line(checked.name, str(span), asdict(result)))
    if result.fault is not None:
        raise FlywheelError(result.fault)


def _line(name: str, span: str, result: dict[str, object]) -> str:
    words = [f"{name}, {span}: {result['verdict']}.", str(result["reason"]), str(result["training"])]
    if result["retrained_version"]:
        words.append(f"Version {result['retrained_version']} was trained and waits for review.")
    if result["report_url"]:
        words.append(f"Report: {result['report_url']}")
    return " ".join(word for word in words if word)
