"""`flywheel outcomes`: takes what became true from a file into the prediction log, once whatever is repeated."""

from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from flywheel.errors import UsageError
from flywheel.outcomes import check_outcomes
from flywheel.settings import load_settings
from flywheel.storage import PredictionLog, append_outcomes

app = typer.Typer()

EPILOG = "Example: flywheel outcomes flights arrivals.csv, with columns entity, outcome, event_time, time_known."


@app.command("outcomes", epilog=EPILOG)
def outcomes(
    use_case: Annotated[str, typer.Argument(metavar="USECASE", help="Name of the use case.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .jsonl, .csv or .parquet file, one outcome a row.")],
) -> None:
    """Report what became true: outcomes join the predictions of their entity, and monitoring judges by them."""
    log_root = load_settings().root / "log"
    known = PredictionLog(log_root).use_cases()
    if use_case not in known:
        raise UsageError(f"Use case '{use_case}' has no predictions here. Known: {', '.join(known) or 'none'}.")
    frame = check_outcomes(read_frame(file), str(file))
    is_new = append_outcomes(log_root, use_case, frame)
    typer.echo(
        f"{frame.height} outcomes of {use_case} " + ("recorded." if is_new else "were recorded before: nothing to do.")
    )


def read_frame(path: Path) -> pl.DataFrame:
    """Read a table of any of the three kinds.

    Raises:
        UsageError: The file cannot be read, or is of another kind.
    """
    try:
        match path.suffix:
            case ".jsonl" | ".ndjson":
                return pl.read_ndjson(path, infer_schema_length=None)
            case ".csv":
                return pl.read_csv(path, infer_schema_length=None, schema_overrides={"entity": pl.String})
            case ".parquet":
                return pl.read_parquet(path)
    except OSError as fault:
        raise UsageError(f"File {path} cannot be read: {fault.strerror or fault}. Give the path of a file.") from fault
    except pl.exceptions.PolarsError as fault:
        first = str(fault).splitlines()[0]
        raise UsageError(f"File {path} is no {path.suffix[1:]}: {first}. Correct it.") from fault
    raise UsageError(f"File {path} has an unknown kind. Give a .jsonl, .csv or .parquet file.")
