"""The command `flywheel verdict`: judges anybody's numbers, without a stack."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from deploy.verdict.readings import Reading
    from deploy.verdict.several import Judged

app = typer.Typer()

EPILOG = "Example: flywheel verdict looks.json --json > record.json. Exit 0 promotes, 3 rolls back, 4 is not yet."
EXIT_CODES = {"promote": 0, "roll back": 3, "not yet": 4}


@app.command(epilog=EPILOG)
def verdict(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON with a plan and looks; see docs/verdict.md.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print a record that replays to the same verdict.")] = False,
) -> None:
    """Judge a canary from a file of counts and values: promote, roll back, or not yet."""
    from deploy.verdict_file import judge_file

    judged, document = judge_file(file)
    if as_json:
        typer.echo(json.dumps(document, indent=1))
    else:
        _show(judged)
    raise typer.Exit(EXIT_CODES[judged.call.value])


def _show(judged: "Judged") -> None:
    typer.echo(f"{judged.call.value} (look {judged.look}): {judged.reason}")
    for name, reading in judged.readings.items():
        typer.echo(f"{name}: {reading.sentence}")
        for line in _lines(reading):
            typer.echo(f"  {line}")


def _lines(reading: "Reading") -> list[str]:
    statistic = ", ".join(f"{name} {value:.4g}" for name, value in reading.statistic.items())
    intervals = [f"interval  {name}: {low:.4g} to {_upper(high)}" for name, (low, high) in reading.interval.items()]
    counts = ", ".join(f"{name} {value:,g}" for name, value in reading.counts.items())
    return [f"statistic {statistic}", *(intervals or ["interval  none for this kind"]), f"counts    {counts}"]


def _upper(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "any"
