"""The command `flywheel reproduce`."""

import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from flywheel.errors import UsageError

app = typer.Typer()


@app.command()
def reproduce(
    name: Annotated[str, typer.Argument(help="The registered model.")],
    version: Annotated[str, typer.Argument(help="Its version's number.")],
    usecase: Annotated[
        Path | None, typer.Option(help="The use case's file, beside which its data lie; by default where it was.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fit a version again from its record, and say whether the same model comes out, bit for bit.

    Example: flywheel reproduce flights-delay 3. Exit 0: identical; 1: not.
    """
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from training.packaging.champion import fetch_version  # MLflow and the families take seconds
    from training.packaging.reproduce import reproduce as fit_again

    with tempfile.TemporaryDirectory(prefix="flywheel-") as folder:
        package = fetch_version(name, version, Path(folder)).package
        found = fit_again(package, _home(usecase, package.lineage.usecase_path))
    if as_json:
        typer.echo(json.dumps({"identical": found.identical, **asdict(found)}))
    else:
        typer.echo(_sentence(name, version, found.identical, found.largest_difference, found.rows, found.seconds))
        for line in found.versions:
            typer.echo(f"  other version: {line}", err=True)
    raise typer.Exit(0 if found.identical else 1)


def _home(usecase: Path | None, recorded: str) -> Path:
    path = usecase or Path(recorded)
    if not path.is_file():
        where = f"{path} is no file here" if str(path) != "." else "the version does not say where it was"
        raise UsageError(f"The use case's file is needed: {where}. Name it with --usecase.")
    return path.parent


def _sentence(name: str, version: str, identical: bool, difference: float, rows: int, seconds: float) -> str:
    what = "bit-identical" if identical else f"NOT identical (predictions differ by up to {difference:.3g})"
    return f"{name} version {version}: {what}; fitted again on {rows:,} rows in {seconds:.1f} s."
