"""The command `flywheel drift`: judges anybody's files, without a stack."""

import json
from pathlib import Path
from typing import Annotated

import typer

from flywheel.errors import UsageError

app = typer.Typer()

EPILOG = (
    "Example: flywheel drift january-to-march.parquet april.parquet --event-time created_at --json."
    " Exit 0 is quiet, 3 is drift, 4 cannot be decided yet."
)
EXIT_CODES = {"quiet": 0, "drift": 3, "not yet": 4}


@app.command(epilog=EPILOG)
def drift(
    reference: Annotated[Path, typer.Argument(help="CSV, Parquet, or a profile: what is usual.")],
    windows: Annotated[list[Path], typer.Argument(metavar="WINDOWS...", help="Files to judge, in order of time.")],
    event_time: Annotated[
        str | None, typer.Option(help="Column of times; without one rows stand in their order.")
    ] = None,
    block: Annotated[str, typer.Option(help="Unit of evidence, such as 1h or 1d: its rows are alike.")] = "1d",
    budget: Annotated[float, typer.Option(help="False alarms a year at most, over all columns and blocks.")] = 1.0,
    least_effect: Annotated[float, typer.Option(help="Smaller shifts never alarm, in standard deviations.")] = 0.05,
    country: Annotated[str | None, typer.Option(help="Whose holidays are days of their own: US, DE-BY.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="A column not to watch; may be repeated.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the decision as JSON.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Write a picture (PNG) of the decision to this file.")] = None,
) -> None:
    """Judge whether windows have drifted from a reference, within a budget of false alarms."""
    from monitoring.drift.file import Request, judge_files, settings_of
    from monitoring.drift.wording import alarm_in_words

    settings = settings_of(
        block=block,
        false_alarms_per_year=budget,
        least_effect=least_effect,
        country=country,
        exclude=tuple(exclude or ()),
    )
    if plot is not None and not plot.absolute().parent.is_dir():
        raise UsageError(f"--plot {plot}: there is no folder {plot.parent}. Make it first.")
    decision, document = judge_files(Request(reference, tuple(windows), event_time, settings))
    if plot is not None and decision.looks:
        from monitoring.drift.plot import draw

        plot.write_bytes(draw(decision, f"{reference.name} and what came after"))
    alarms = [f"- {alarm_in_words(look)}" for look in decision.alarms] if len(decision.alarms) > 1 else []
    lines = [decision.reason, *alarms, *decision.notes]
    typer.echo(json.dumps(document, indent=1) if as_json else "\n".join(lines))
    raise typer.Exit(EXIT_CODES[decision.verdict.value])
