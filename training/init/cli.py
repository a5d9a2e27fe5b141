"""`flywheel init`: a use case from a table."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from training.init.draft import Draft

app = typer.Typer()


@app.command()
def init(  # one for each option
    data: Annotated[
        str,
        typer.Argument(
            help="CSV or Parquet: a file, folder, glob or s3://; a Delta folder; a .py file; or a database."
        ),
    ],
    label: Annotated[str | None, typer.Option(help="The column to predict.")] = None,
    event_time: Annotated[str | None, typer.Option(help="The column that says when a row happened.")] = None,
    entity: Annotated[str | None, typer.Option(help="The key column, by which outcomes find predictions.")] = None,
    query: Annotated[str | None, typer.Option(help="For a database: a SELECT, or a .sql file.")] = None,
    name: Annotated[str | None, typer.Option(help="Of the use case; by default that of the data.")] = None,
    into: Annotated[Path | None, typer.Option(help="Folder to write; by default the use case's name.")] = None,
) -> None:
    """Look at a table and write a use case folder that runs as it is.

    Examples: flywheel init data.csv --label late --event-time ts --entity id

    flywheel init 'postgresql://me:${PASSWORD}@host/shop' --query 'SELECT * FROM orders' --label late --event-time ts
    """
    # Imports of 3 s (polars, scikit-learn): other commands must not wait for them.
    from training.init.draft import draft, slug
    from training.init.folder import refuse_existing, write_folder
    from training.init.place import PASSWORD_NAME, find_source, hidden_password, stem

    source, now = find_source(data, query), datetime.now(UTC).replace(tzinfo=None)
    name = slug(name or stem(source))
    folder = into or Path(name)
    refuse_existing(folder)
    found = draft(source, Path(), now, label=label, event_time=event_time, entity=entity, name=name)
    secret = hidden_password(source)
    write_folder(found, folder, now, environment_complete=secret is None)
    Console().print(columns_table(found))
    usecase = folder / "usecase.yaml"
    typer.echo(f"Wrote {folder}: usecase.yaml (each choice with its reason), features.py, README.md. Next:")
    if secret is not None:
        typer.echo(f"  export {PASSWORD_NAME}=…    # the password is not written anywhere")
    typer.echo(f"  flywheel check {usecase}\n  mlflow run . --env-manager local -P usecase={usecase}")


def columns_table(draft: "Draft") -> Table:
    """List the columns with their roles and reasons."""
    table = Table(title=f"{draft.name}: {draft.target.task}, {draft.rows:,} rows", title_justify="left")
    for heading in ("column", "type", "role", "why"):
        table.add_column(heading)
    for column in draft.columns:
        table.add_row(column.name, column.type, column.role.value, column.why)
    return table
