"""`flywheel worker`: joins a search that runs somewhere else."""

import os
import pkgutil
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flywheel.errors import UsageError
from flywheel.usecase import UseCase, load_usecase

if TYPE_CHECKING:
    from training.data.dataset import Dataset

# By name: it reads and encodes the data as training does, and a worker on the search's own machine never needs it.
PREPARE = "training.prepare:prepare_dataset"
URL = "FLYWHEEL_OPTUNA_URL"

app = typer.Typer()


@app.command()
def worker(
    usecase: Annotated[Path, typer.Argument(help="Path of the same usecase.yaml that the search was started with.")],
    study: Annotated[str, typer.Option(help="Name of the study, as training prints it.")],
    threads: Annotated[int | None, typer.Option(min=1, help="Of one fit; by default all cores.")] = None,
) -> None:
    """Run trials of a search until none is left, from any machine that reaches Optuna's database.

    Example: flywheel worker examples/flights/usecase.yaml --study flights-delay/2013-04-01T00:00:00/6a9ee17944e9
    """
    spec = load_usecase(usecase)
    url = os.environ.get(URL, "")
    if not url:
        raise UsageError(
            f'{URL} is not set, so there is no study to join. Log in with `eval "$(flywheel env --user NAME)"`.'
        )
    # Threads of XGBoost that spin while they wait crawl on a busy machine; read when its library is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # An import of 2 s (scikit-learn, Optuna): other commands must not wait for it.
    from training.search.worker import join

    def prepare(case: UseCase, path: Path, as_of: datetime) -> "Dataset":
        made: Dataset = pkgutil.resolve_name(PREPARE)(case, path, as_of)
        return made

    threads = threads or len(os.sched_getaffinity(0))
    count = join(study, spec, usecase, url, prepare_dataset=prepare, threads=threads)
    typer.echo(f"Ran {count} trials of study {study}.")
