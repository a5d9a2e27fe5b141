"""The commands `flywheel experiment …`: they need no stack where units come from a file."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flywheel.errors import UsageError
from flywheel.settings import load_settings

if TYPE_CHECKING:
    from deploy.experiments.plan import Experiment
    from deploy.experiments.report import Report

app = typer.Typer()
experiment = typer.Typer(help="Plan an A/B test, judge it at any time, and say what it returns.", no_args_is_help=True)
app.add_typer(experiment, name="experiment")

PLAN_EPILOG = "Example: flywheel experiment plan experiment.yaml --units-per-day 4000"
REPORT_EPILOG = (
    "Example: flywheel experiment report experiment.yaml --data units.parquet --html report.html."
    " Exit 0 promotes, 3 rolls back, 4 is not yet."
)
START_EPILOG = (
    "Example: flywheel experiment start experiment.yaml, which names usecase and versions: {challenger: '3',"
    " challenger-2: '4'}. `flywheel experiment plan` says before how long it takes."
)
STOP_EPILOG = 'Example: flywheel experiment stop flights-delay --because "the campaign is over"'
ROI_EPILOG = "Example: flywheel experiment roi experiment.yaml --data units.parquet"
EXIT_CODES = {"promote": 0, "roll back": 3, "not yet": 4}

File = Annotated[Path, typer.Argument(metavar="FILE", help="An experiment.yaml; see docs/experiments.md.")]
Data = Annotated[
    Path | None,
    typer.Option(help="Units as .csv, .parquet or .jsonl; by default the prediction log of the file's use case."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@experiment.command(epilog=PLAN_EPILOG)
def plan(
    file: File,
    units_per_day: Annotated[float, typer.Option(min=1, help="New units a day, of all arms together.")],
    power: Annotated[float, typer.Option(min=0.5, max=0.999, help="Probability of finding the effect.")] = 0.8,
    as_json: Json = False,
) -> None:
    """Say before the start how long it takes, and the smallest effect that it finds with what power."""
    from deploy.experiments.documents import load_plan
    from deploy.experiments.power import plan_power
    from deploy.experiments.printed import show_power

    wanted = load_plan(file)
    found = plan_power(wanted, units_per_day, power)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=1))
    else:
        show_power(found, units_per_day=units_per_day, power=power, metric=wanted.metric.name)


@experiment.command(epilog=START_EPILOG)
def start(
    file: File,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check it, say what would be done, and do nothing.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for another controller to end.")] = 300,
) -> None:
    """Split the traffic of a use case between its champion and approved versions; the winner takes over."""
    from deploy.experiments.documents import load_plan
    from deploy.loop.experiments_at_home import start_experiment  # SQLAlchemy: `flywheel --help` must not pay for it

    for line in start_experiment(load_settings(), load_plan(file), timeout, _say, dry_run=dry_run):
        typer.echo(line)


@experiment.command(epilog=STOP_EPILOG)
def stop(
    use_case: Annotated[str, typer.Argument(metavar="USECASE", help="Name of the use case.")],
    because: Annotated[str, typer.Option(help="Why; it stays in the audit trail.")],
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for another controller to end.")] = 300,
) -> None:
    """End an experiment without a winner: all traffic goes back to the champion, and its versions are archived."""
    from deploy.loop.experiments_at_home import stop_experiment  # SQLAlchemy: `flywheel --help` must not pay for it

    typer.echo(stop_experiment(load_settings(), use_case, because, (timeout, _say)))


@experiment.command(epilog=REPORT_EPILOG)
def report(
    file: File,
    data: Data = None,
    looks: Annotated[int, typer.Option(min=1, max=1000, help="Looks that the picture shows.")] = 100,
    html: Annotated[Path | None, typer.Option(help="Also write a page to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Judge an experiment by all that is known now: promote, roll back, or not yet."""
    from deploy.experiments.printed import show_report

    made = _report(file, data, looks)
    if html is not None:
        from deploy.experiments.page import page

        try:
            html.write_text(page(made), encoding="utf-8")
        except OSError as fault:
            raise UsageError(
                f"{html} cannot be written: {fault.strerror}. Name a file in a folder that is there."
            ) from fault
    if as_json:
        typer.echo(json.dumps(made.to_json(), indent=1))
    else:
        show_report(made)
    if data is None and (late := _old_rows(made.plan)):
        _say(f"Caution: {late}")
    raise typer.Exit(EXIT_CODES[made.judgement.decision.call.value])


@experiment.command(epilog=ROI_EPILOG)
def roi(file: File, data: Data = None, as_json: Json = False) -> None:
    """Say what each arm returns a month: gain times volume, less serving and training, with its interval."""
    from deploy.experiments.returns import returned
    from deploy.experiments.words import money_lines

    made = _report(file, data, 1)
    if made.judgement.ratio.mismatch:
        raise UsageError(made.judgement.decision.reason)
    found = [returned(made.plan, one) for one in made.judgement.arms[1:]]
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=1))
        return
    for one in found:
        for line in money_lines(one):
            typer.echo(f"{one.arm}: {line}")


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _old_rows(wanted: "Experiment") -> str | None:
    from deploy.experiments.sources import old_rows
    from flywheel.storage import PredictionLog

    return old_rows(wanted, PredictionLog(load_settings().root / "log"))


def _report(file: Path, data: Path | None, looks: int) -> "Report":
    from deploy.experiments.documents import load_plan
    from deploy.experiments.gathering import looks_of
    from deploy.experiments.report import report_of
    from deploy.experiments.sources import units_from

    wanted = load_plan(file)
    units = units_from(wanted, data, load_settings().root / "log", datetime.now(UTC).replace(tzinfo=None))
    return report_of(wanted, looks_of(wanted, units, looks))
