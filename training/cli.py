"""Training's commands: `flywheel init`, `check`, `worker` and `reproduce`."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from flywheel.usecase import load_usecase
from training.arguments import parse_as_of
from training.init.cli import app as init_app
from training.packaging.reproduce_cli import app as reproduce_app
from training.search.worker_cli import app as worker_app

if TYPE_CHECKING:
    from training.prepare import Prepared

app = typer.Typer()
app.registered_commands += init_app.registered_commands


@app.command()
def check(
    usecase: Annotated[Path, typer.Argument(help="Path of a usecase.yaml.")],
    as_of: Annotated[str, typer.Option(help="As if it were this time (ISO 8601, UTC).")] = "",
) -> None:
    """Check a use case: its file, source, data contract, features and split. Trains nothing, writes nothing.

    Example: flywheel check examples/flights/usecase.yaml
    """
    spec, moment = load_usecase(usecase), parse_as_of(as_of)
    # Imports of 9 s (mlflow, scikit-learn): other commands must not wait for them.
    from training.prepare import prepare

    prepared = prepare(spec, usecase, moment)
    console = Console()
    console.print(inputs_table(prepared))
    console.print(findings_table(prepared))
    console.print(split_table(prepared))
    for warning in filter(None, (prepared.warning, spec.rollout.moot)):
        typer.echo(warning)
    typer.echo(f"{usecase} is a valid use case. Train it: mlflow run . --env-manager local -P usecase={usecase}")


app.registered_commands += [*worker_app.registered_commands, *reproduce_app.registered_commands]


def inputs_table(prepared: "Prepared") -> Table:
    """List what a request carries."""
    table = _table(f"{prepared.usecase.name}: columns of a request", "column", "type", "may be null")
    for column in prepared.contract.columns:
        table.add_row(column.name, column.type, "yes" if column.nullable else "no")
    if prepared.contract.entity is not None:
        table.add_row(prepared.contract.entity, "string", "key: without it no outcome finds its prediction")
    return table


def findings_table(prepared: "Prepared") -> Table:
    """List what the data contract found."""
    report = prepared.checked.report
    kept = f"{report.clean_rows:,} of {report.rows:,} rows kept, {report.quarantined_rows:,} set aside"
    table = _table(f"data contract: {report.rules} rules; {kept}", "verdict", "column", "what was found")
    for finding in report.findings:
        table.add_row(finding.verdict, finding.column or "all", finding.sentence)
    if not report.findings:
        table.add_row("pass", "all", "nothing")
    return table


def split_table(prepared: "Prepared") -> Table:
    """Show the parts of the split."""
    split, label = prepared.split, prepared.usecase.data.label.column
    cuts = f"validation from {_time(split.cut)}, test from {_time(split.test_cut)}"
    table = _table(f"split as of {_time(prepared.as_of)} (UTC): {cuts}", "part", "rows", "from", "to", label)
    for name, rows in (("train", split.train), ("validation", split.validation), ("test", split.test)):
        frame = split.frame(rows)
        times, values = frame[split.time], frame[label]
        typical = (
            f"mean {values.to_numpy().mean():.4g}" if values.dtype.is_numeric() else f"{values.n_unique()} classes"
        )
        table.add_row(name, f"{frame.height:,}", str(times.min()), str(times.max()), typical)
    return table


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", min_width=len(title))
    for heading in headings:
        table.add_column(heading)
    return table


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
