"""`python -m training`: what the entry point `main` of MLproject runs. A fault is one sentence and exit 1 or 2."""

import os
import warnings
from pathlib import Path
from typing import Annotated

import typer

from flywheel import edge
from flywheel.connections import QUIET
from flywheel.refusal import refusal_told
from flywheel.usecase import load_usecase
from training.arguments import parse_as_of, parse_length, parse_like, parse_trials, with_rows

MANNERS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    # On a busy machine, threads of XGBoost that spin while they wait made a fit of 0.7 s last 28 s.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    # MLflow would copy this project's pyproject.toml and uv.lock into every model and build environments from them.
    "MLFLOW_UV_AUTO_DETECT": "false",
    "MLFLOW_LOG_UV_FILES": "false",
}

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def train(
    usecase: Annotated[Path, typer.Option(help="Path of a usecase.yaml.")],
    as_of: Annotated[str, typer.Option(help="Use nothing known later than this time (ISO 8601, UTC).")] = "",
    trials: Annotated[str, typer.Option(help="How many trials, instead of the use case's number.")] = "",
    window: Annotated[str, typer.Option(help="Train on this much history (90d), instead of train.window.")] = "",
    half_life: Annotated[str, typer.Option(help="Rows of this age weigh half (60d), instead of train.half_life.")] = "",
    like: Annotated[str, typer.Option(help="champion: train its code on newer data, or nothing (for services).")] = "",
) -> None:
    """Tune, evaluate and register one version of a use case.

    Example: python -m training --usecase examples/flights/usecase.yaml --as-of 2013-04-01 --trials 10
    """
    moment, count, only_like = parse_as_of(as_of), parse_trials(trials), parse_like(like)
    lengths = {"window": parse_length("window", window), "half_life": parse_length("half_life", half_life)}
    spec = with_rows(load_usecase(usecase), lengths)
    # Imports of 1 s and of 9 s, behind the checks that need not wait for them.
    from training.services import check_mlflow, optuna_url  # noqa: PLC0415

    check_mlflow(os.environ)
    url = optuna_url(os.environ)
    from training.job import train as run  # noqa: PLC0415
    from training.summary import summary  # noqa: PLC0415

    with refusal_told(os.environ):
        done = run(spec, usecase, url, as_of=moment, trials=count, like_champion=only_like)
    typer.echo(f"{done.name} version {done.version} ({done.semver}): {summary(done.evaluation)} (run {done.run_id}).")


def quiet_app(debug: bool) -> typer.Typer:
    """Keep what others say about themselves off standard error, and do not retry a dead server for minutes."""
    for name, value in {**QUIET, **MANNERS}.items():
        os.environ.setdefault(name, value)
    if not debug:
        warnings.simplefilter("ignore")
    return app


if __name__ == "__main__":
    edge.run(quiet_app, "python -m training")
