"""`flywheel schedule`: which use cases are looked at by themselves, and when."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flywheel.durations import duration_text
from flywheel.settings import load_settings
from flywheel.usecase import load_usecase

if TYPE_CHECKING:
    from monitoring.schedule.plan import Planned

app = typer.Typer(no_args_is_help=True)
schedule = typer.Typer(
    no_args_is_help=True,
    help="Have use cases looked at by themselves: windows, drift, alerts, retraining.\n\n"
    "No login is asked for, so that there is no --user: the schedule belongs to the home, and whoever may read the"
    " home's secrets changes it.",
    epilog="Example: flywheel schedule add examples/flights/usecase.yaml",
)
app.add_typer(schedule, name="schedule")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the use case.")]


@schedule.command(epilog="Example: flywheel schedule add examples/flights/usecase.yaml")
def add(use_case: Annotated[Path, typer.Argument(metavar="USECASE", help="Path of a usecase.yaml.")]) -> None:
    """Look at a use case as often as its `monitor.every` says, or change that."""
    from monitoring.schedule.plan import open_schedule  # SQLAlchemy and APScheduler
    from monitoring.schedule.staying import start_schedule

    settings, checked = load_settings(), load_usecase(use_case)
    with open_schedule(settings) as plan:
        planned = plan.add(checked, use_case)
    start_schedule(settings)
    typer.echo(f"{_line(planned)}")


@schedule.command("list", epilog="Example: flywheel schedule list --json")
def list_planned(as_json: Annotated[bool, typer.Option("--json", help="JSON for machines.")] = False) -> None:
    """List what is looked at, how often, and when next."""
    from monitoring.schedule.plan import open_schedule

    with open_schedule(load_settings()) as plan:
        found = plan.planned()
    if as_json:
        typer.echo(json.dumps([_document(one) for one in found], indent=1))
    else:
        nothing = "Nothing is looked at by itself. Add a use case: flywheel schedule add USECASE."
        typer.echo("\n".join(_line(one) for one in found) or nothing)


@schedule.command(epilog="Example: flywheel schedule remove flights-delay")
def remove(name: Name) -> None:
    """Take a use case off the schedule; a look that is under way ends first."""
    from monitoring.schedule.plan import open_schedule

    with open_schedule(load_settings()) as plan:
        plan.remove(name)
    typer.echo(f"{name} is looked at by hand only: flywheel monitor USECASE.")


@schedule.command(epilog="Example: flywheel schedule pause flights-delay")
def pause(name: Name) -> None:
    """Keep a use case on the schedule without looks, until it is resumed."""
    from monitoring.schedule.plan import open_schedule

    with open_schedule(load_settings()) as plan:
        plan.pause(name)
    typer.echo(f"{name} is not looked at until: flywheel schedule resume {name}.")


@schedule.command(epilog="Example: flywheel schedule resume flights-delay")
def resume(name: Name) -> None:
    """Look again; what was missed is not caught up, since nothing was."""
    from monitoring.schedule.plan import open_schedule

    with open_schedule(load_settings()) as plan:
        typer.echo(_line(plan.resume(name)))


@schedule.command(epilog="Example: flywheel schedule run flights-delay")
def run(name: Name) -> None:
    """Look as soon as the schedule's program sees it, within seconds; what is paused stays so."""
    from monitoring.schedule.plan import open_schedule

    with open_schedule(load_settings()) as plan:
        planned = plan.run(name, datetime.now(UTC))
    paused = " It stays paused." if planned.next is None else ""
    typer.echo(f"{name} is looked at within seconds; see logs/monitor-{name}.log and `flywheel alerts list`.{paused}")


def _line(one: "Planned") -> str:
    following = "paused" if one.next is None else f"next {one.next:%Y-%m-%d %H:%M} UTC"
    return f"{one.name}  every {duration_text(one.every)}  {following}  {one.file}"


def _document(one: "Planned") -> dict[str, object]:
    following = None if one.next is None else one.next.isoformat()
    return {"name": one.name, "file": str(one.file), "every_seconds": one.every.total_seconds(), "next": following}
