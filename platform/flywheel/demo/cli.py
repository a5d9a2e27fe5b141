"""`flywheel demo`: the whole loop on real flights, and its figures."""

from pathlib import Path
from typing import Annotated

import typer

from flywheel.demo.narrator import Narrator
from flywheel.demo.plan import FULL, SLICE
from flywheel.settings import load_settings

app = typer.Typer()

STEPS = 6


@app.command()
def demo(
    json: Annotated[Path | None, typer.Option(help="Write the table's figures to this file.", dir_okay=False)] = None,
    small: Annotated[bool, typer.Option("--small", help="Three months and fewer requests: a few minutes.")] = False,
) -> None:
    """Run the whole loop on real flights: train, review, deploy, live traffic, monitor, retrain, roll back.

    It starts over each time, takes up to ten minutes and leaves the stack up for you to look at.

    Example: flywheel demo --json demo.json
    """
    # Here and not above: `flywheel --help` does not need Polars and MLflow's dependencies.
    from flywheel.demo.figures import figures, window_row
    from flywheel.demo.story import Story, refuse_foreign_home
    from flywheel.demo.tables import show
    from flywheel.goals import write_goals

    settings = load_settings()
    plan = SLICE if small else FULL
    refuse_foreign_home(settings)
    story = Story(settings, plan, Narrator(STEPS))
    story.tell()
    goals = figures(story)
    rows = [window_row(result) for result in story.windows]
    if json is not None:
        write_goals(json, goals, rows)
    show(settings, story, goals, rows)
    if not all(item.met for item in goals):
        raise typer.Exit(1)
