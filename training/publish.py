"""What MLflow keeps of a training: the data set, metrics, figures, the model, and at last the version."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
import polars as pl
from matplotlib.figure import Figure
from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, Schema

from flywheel.contract import Contract
from training import model_code
from training.package import PackageParts

# What scoring imports, in exact versions: a stored estimator depends on them.
SCORING = ("mlflow", "numpy", "pandas", "polars", "pyarrow", "scikit-learn", "skops", "xgboost", "xgboost-cpu")
EXAMPLE_ROWS = 2
DIGEST_LENGTH = 36  # the longest that MLflow keeps


def log_dataset(rows: pl.DataFrame, *, name: str, label: str, source: Path, digest: str) -> None:
    """Log the labelled rows as the run's training data, under a digest of all of them."""
    data = mlflow.data.from_polars(rows, source=str(source), targets=label, name=name, digest=digest[-DIGEST_LENGTH:])
    mlflow.log_input(data, context="training", tags={"sha256": digest.removeprefix("sha256:")})


def log_results(parts: PackageParts, package: Path, drawn: Mapping[str, Figure]) -> None:
    """Log parameters, metrics, lineage tags, figures and the card on the active run."""
    lineage = parts.lineage
    # Not `as_of`: `mlflow run` has logged what was typed under that name, and a parameter cannot change.
    mlflow.log_params(
        {"family": lineage.family, "trained_as_of": lineage.as_of.isoformat(), "seed": lineage.seed, **lineage.params}
    )
    mlflow.log_metrics(parts.scores.metrics() | {"train_rows": parts.train_rows})
    tags = {"data_digest": lineage.data_digest, "features_digest": lineage.features_digest, "study": lineage.study}
    if lineage.git_commit is not None:
        tags |= {"git_commit": lineage.git_commit, "git_dirty": str(lineage.git_dirty).lower()}
    mlflow.set_tags(tags)
    for name, figure in drawn.items():
        mlflow.log_figure(figure, f"plots/{name}")
    mlflow.log_artifact(str(package / "card.md"))


def log_model(package: Path, parts: PackageParts) -> Any:
    """Log the model with its package folder; return MLflow's ModelInfo.

    Requirements are given, not inferred: inference loads the model in a process of its own, which took most of 25 s.
    """
    logging.getLogger("mlflow").setLevel(logging.ERROR)  # it advises on requirements that are given on purpose
    example = parts.validation.head(EXAMPLE_ROWS).to_pandas()
    return mlflow.pyfunc.log_model(
        name=parts.usecase.name,
        python_model=str(Path(model_code.__file__)),
        artifacts={"package": str(package)},
        signature=signature_of(parts.contract),
        input_example=example,
        pip_requirements=[
            f"{name}=={parts.lineage.packages[name]}" for name in SCORING if name in parts.lineage.packages
        ],
    )


def register(model_uri: str, name: str) -> str:
    """Register a logged model as the next version of `name`, and return its number as MLflow writes it."""
    return str(mlflow.register_model(model_uri, name, await_registration_for=None).version)


def signature_of(contract: Contract) -> ModelSignature:
    """Say the contract in MLflow's words; a nullable column may also be left out."""
    inputs = [ColSpec(column.type, column.name, required=not column.nullable) for column in contract.columns]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema([ColSpec("double", "probability")]))
