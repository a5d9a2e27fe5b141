"""`flywheel check`: validates a use case without training anything."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from flywheel.usecase import load_usecase
from training.arguments import parse_as_of

if TYPE_CHECKING:
    from training.job import Prepared

app = typer.Typer()


@app.command()
def check(
    usecase: Annotated[Path, typer.Argument(help="Path of a usecase.yaml.")],
    as_of: Annotated[str, typer.Option(help="As if it were this time (ISO 8601, UTC).")] = "",
) -> None:
    """Check a use case: its file, source, columns, features and split. Trains nothing.

    Example: flywheel check examples/flights/usecase.yaml
    """
    spec, moment = load_usecase(usecase), parse_as_of(as_of)
    # Imports of 9 s (mlflow, scikit-learn): other commands must not wait for them.
    from training.job import prepare

    prepared = prepare(spec, usecase, moment)
    console = Console()
    console.print(inputs_table(prepared))
    console.print(split_table(prepared))
    typer.echo(f"{usecase} is a valid use case. Train it: mlflow run . --env-manager local -P usecase={usecase}")


def inputs_table(prepared: "Prepared") -> Table:
    """List what a request carries."""
    table = Table(title=f"{prepared.usecase.name}: columns of a request", title_justify="left")
    for heading in ("column", "type", "may be null"):
        table.add_column(heading)
    for column in prepared.contract.columns:
        table.add_row(column.name, column.type, "yes" if column.nullable else "no")
    if prepared.contract.entity is not None:
        table.add_row(prepared.contract.entity, "string", "key: without it no outcome finds its prediction")
    return table


def split_table(prepared: "Prepared") -> Table:
    """Show both sides of the split."""
    time, label = prepared.usecase.data.event_time, prepared.usecase.data.label.column
    table = Table(
        title=f"split at {prepared.split.cut:%Y-%m-%d %H:%M} as of {prepared.as_of:%Y-%m-%d %H:%M} (UTC)",
        title_justify="left",
    )
    for heading in ("side", "rows", "from", "to", f"share of {label}"):
        table.add_column(heading)
    for side, rows in (("train", prepared.split.train), ("validation", prepared.split.validation)):
        share = float(prepared.label(rows).mean())
        table.add_row(side, f"{rows.height:,}", str(rows[time].min()), str(rows[time].max()), f"{share:.3f}")
    return table
