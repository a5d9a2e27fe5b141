"""Commands of deploy: `flywheel deploy`, and `flywheel outcomes`, which takes what became true from a file."""

import json
import time
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy import logs_cli, verdict_cli
from deploy.experiments import cli as experiments_cli
from flywheel.connections import endpoints, login
from flywheel.errors import TransientError, UsageError
from flywheel.identities import CONTROLLER
from flywheel.serving import LONGEST_DAYS, EnvManager
from flywheel.settings import Settings, load_settings

if TYPE_CHECKING:
    from deploy.loop.reconcile import Result
    from flywheel.serving import Serving

app = typer.Typer()
log = typer.Typer(help="Look into the prediction log.", no_args_is_help=True)
app.add_typer(log, name="log")
app.add_typer(verdict_cli.app)
app.add_typer(experiments_cli.app)
app.add_typer(logs_cli.app)

OUTCOMES_EPILOG = (
    "Example: flywheel outcomes flights arrivals.csv, with columns entity, outcome (0 or 1, a number, or the name of a"
    " class), event_time, time_known."
)
UNDEPLOY_EPILOG = 'Example: flywheel undeploy flights-delay --reason "replaced by flights-delay-hourly"'
EPILOG = "Example: flywheel deploy --usecase flights-delay --timeout 600. Exit 3 means that a version was rolled back."


@app.command(epilog=EPILOG)
def deploy(
    usecase: Annotated[str | None, typer.Option(help="Only this use case; all of them by default.")] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait until all is settled.")] = 2400,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    env_manager: Annotated[
        EnvManager | None, typer.Option(help="Of MLflow's workers, against serving.yaml; it stays with the versions.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")] = None,
) -> None:
    """Serve what reviewers have approved: the first version at once, each later one through a canary."""
    settings = load_settings()
    endpoints(settings)  # a stack that does not run is said before anything heavy is loaded
    serving = _checked_serving(settings)
    if dry_run:
        from deploy.loop.dry_run import dry_run as dry_run_lines  # SQLAlchemy, polars

        for line in dry_run_lines(settings, usecase):
            typer.echo(line)
        return
    result = _reconcile(settings, usecase, timeout, env_manager)
    if usecase is None:
        _warn_of_unknown(serving, [one.usecase for one in result.progress])
    if usecase is not None and not result.progress:
        from deploy.desired import nothing_approved  # SQLAlchemy

        raise UsageError(nothing_approved(usecase))
    if not result.progress:
        typer.echo("No version has been approved yet. Train one, and have a reviewer move it to Production.")
    _tell_of_waiting(settings, result)
    if json_file is not None:
        document = {"usecases": [asdict(one) for one in result.progress], "rolled_back": list(result.rolled_back)}
        json_file.write_text(json.dumps(document, indent=1))
    raise typer.Exit(result.exit_code)


@app.command(epilog=UNDEPLOY_EPILOG)
def undeploy(
    use_case: Annotated[str, typer.Argument(metavar="USECASE", help="Name of the use case.")],
    reason: Annotated[str, typer.Option(help="Why; it stays in the audit trail.")],
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait until all is stopped.")] = 300,
) -> None:
    """Take a use case out of service: no route, no process. Nothing else ever stops the last version that answers."""
    from deploy.loop.leading import leading  # SQLAlchemy: `flywheel --help` must not pay for it
    from deploy.undeployment import record_undeployment
    from deploy.versions import MlflowRegistry
    from flywheel.tracking import Tracking

    settings = load_settings()
    registry = MlflowRegistry(Tracking.from_login(login(settings, CONTROLLER)))
    with leading(settings, timeout, _say) as ledger:
        version = record_undeployment(ledger, registry, use_case, reason)
    _reconcile(settings, use_case, timeout)
    typer.echo(f"{use_case} is out of service; version {version} was live.")


@log.command(epilog="Example: flywheel log find 019367c2-8f5c-7c3a-9a53-0c2d7c1f2a10")
def find(
    prediction_id: Annotated[str, typer.Argument(help="As the answer's header x-flywheel-prediction-id names it.")],
) -> None:
    """Show one prediction as JSON: its record, what the gateway answered, and its outcomes.

    An outcome says by what it was joined, `prediction_id` or `entity`, and whether it counts: the newest report does,
    for an answer that a client got.
    """
    from deploy.log.found import find as find_prediction
    from flywheel.storage import PredictionLog

    now = datetime.now(UTC).replace(tzinfo=None)
    found = find_prediction(PredictionLog(load_settings().root / "log"), prediction_id, now)
    if found is None:
        raise UsageError(
            f"No prediction '{prediction_id}' is in the log. One of the last seconds may still be in a spool."
        )
    typer.echo(json.dumps(found.document(), default=str, indent=1))


@log.command(epilog="Example: flywheel log expire --usecase flights-delay --days 90 --dry-run")
def expire(
    usecase: Annotated[str | None, typer.Option(help="Only this use case; all of them by default.")] = None,
    days: Annotated[
        int | None, typer.Option(min=1, max=LONGEST_DAYS, help="Instead of retention_days in serving.yaml.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and erase nothing.")] = False,
) -> None:
    """Erase predictions that are older than their retention, with their requests and outcomes; happens hourly too."""
    from deploy.log.expiry import expire_by_hand  # polars and SQLAlchemy

    for line in expire_by_hand(load_settings(), datetime.now(UTC), usecase=usecase, days=days, dry_run=dry_run):
        typer.echo(line)


@app.command(epilog=OUTCOMES_EPILOG)
def outcomes(
    use_case: Annotated[str, typer.Argument(metavar="USECASE", help="Name of the use case.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .jsonl, .csv or .parquet file, one outcome a row.")],
) -> None:
    """Report what became true: outcomes join the predictions of their entity, and monitoring judges by them."""
    from deploy.outcomes import record_file  # polars: every `flywheel` command would pay for it

    rows, is_new = record_file(load_settings().root / "log", use_case, file)
    typer.echo(f"{rows} outcomes of {use_case} " + ("recorded." if is_new else "were recorded before: nothing to do."))


def _checked_serving(settings: Settings) -> "Serving":
    from deploy.local.capacity import check_capacity, memory_mb
    from flywheel.stack.gateway import checked_serving, is_applied

    serving = checked_serving(settings)
    check_capacity(serving, memory_mb())
    if not is_applied(settings, serving):
        _say(
            "Warning: what serving.yaml says of gateway or observability is not in force yet. `flywheel up` applies it."
        )
    return serving


def _warn_of_unknown(serving: "Serving", known: list[str]) -> None:
    from deploy.local.capacity import unknown_use_cases

    for name in unknown_use_cases(serving, known):
        typer.echo(f"Warning: serving.yaml speaks of '{name}', and no use case of that name was approved.", err=True)


def _tell_of_waiting(settings: Settings, result: "Result") -> None:
    """Say which newer versions wait for people; a registry that went away since says nothing."""
    from deploy.loop.leading import mlflow_registry
    from deploy.loop.unapproved import waits_for_approval
    from flywheel.rest import RefusedError  # urllib3

    registry = mlflow_registry(settings)
    with suppress(TransientError, RefusedError):
        for one in result.progress:
            if waiting := waits_for_approval(registry, one.usecase, one.challenger or one.champion):
                typer.echo(f"{one.usecase}: {waiting}")


def _reconcile(
    settings: Settings, usecase: str | None, timeout: float, env_manager: EnvManager | None = None
) -> "Result":
    # Heavy (SQLAlchemy, rich's live table): `flywheel --help` must not pay for it.
    from rich.console import Console

    from deploy.local.staying import start_controller
    from deploy.local.target import Told
    from deploy.loop.leading import leading_controller
    from deploy.loop.reconcile import Pace, run_until_settled
    from deploy.loop.view import progress_view

    start_controller(settings)
    began = time.monotonic()
    told = None if env_manager is None else Told(env_manager, usecase)
    with (
        leading_controller(settings, timeout, _say, usecase, told=told) as controller,
        progress_view(Console()) as show,
    ):
        left = max(timeout - (time.monotonic() - began), 1)
        return run_until_settled(controller, Pace(time.monotonic, time.sleep), left, show)


def _say(line: str) -> None:
    typer.echo(line, err=True)
