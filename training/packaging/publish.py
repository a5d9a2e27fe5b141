"""What MLflow keeps of a training: data sets, metrics, figures, documents, the model, and at last the version.

Few calls, each with much in it: against a server a call costs more than what it carries.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
import polars as pl
from matplotlib.figure import Figure
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_SOURCE_NAME
from mlflow.utils.time import get_current_time_millis

from flywheel.contract import Contract
from flywheel.package import Lineage
from training.packaging import model_code
from training.packaging.environment_lock import scoring_requirements
from training.packaging.signature import signature_of
from training.packaging.stored_model import no_advice

EXAMPLE_ROWS = 2
DIGEST_LENGTH = 36  # the longest that MLflow keeps
PARAM_LENGTH = 6000  # likewise
BATCH = 100  # parameters and tags that one call may carry
DOCUMENTS = ("card.md", "card.html", "checks.html", "evaluation.json", "onnx.json", "lineage.json", "requirements.lock")


@dataclass(frozen=True)
class Results:
    """What a run shows besides the model.

    Attributes:
        metrics: By the names under which MLflow shows them.
        params: Beside those of the lineage.
        tags: Likewise.
        figures: By file name, shown below plots/.
        documents: Texts and bytes by path, such as the tables of the evaluation or shap values.
        diff: Uncommitted changes, kept as dirty.diff; "" for none.
    """

    metrics: Mapping[str, float]
    params: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    documents: Mapping[str, str | bytes] = field(default_factory=dict)
    diff: str = ""


def log_dataset(rows: pl.DataFrame, *, name: str, context: str, label: str, source: str, digest: str) -> None:
    """Log rows as one of the run's data sets, under a digest of all of them.

    Args:
        rows: Of the part, raw, with the label.
        name: Of the data set.
        context: train, validation or test.
        label: The label's column.
        source: Where the rows come from in one line, without passwords: `Origin.describe()`.
        digest: What `training.data.frame_digest` gives for the rows.
    """
    # As code: MLflow would take a text for a path, and knows no source for a query.
    origin = CodeDatasetSource(tags={MLFLOW_SOURCE_NAME: source})
    data = mlflow.data.from_polars(rows, source=origin, targets=label, name=name, digest=digest[-DIGEST_LENGTH:])
    mlflow.log_input(data, context=context, tags={"sha256": digest.removeprefix("sha256:"), "rows": str(rows.height)})


def log_results(run_id: str, lineage: Lineage, results: Results, package: Path, client: MlflowClient) -> None:
    """Log parameters, metrics, tags, figures and the documents of the package on a run.

    Args:
        run_id: Of a run that goes on.
        lineage: Where the version comes from.
        results: What was measured.
        package: The written package folder.
        client: Of the tracking server.
    """
    # Not `as_of`: `mlflow run` has logged what was typed under that name, and a parameter cannot change.
    params = {"family": lineage.family, "trained_as_of": lineage.as_of.isoformat(), "seed": lineage.seed}
    params |= {**lineage.params, **results.params}
    moment = get_current_time_millis()
    metrics = [Metric(name, float(value), moment, 0) for name, value in results.metrics.items()]
    named = [Param(name, str(value)[:PARAM_LENGTH]) for name, value in params.items()]
    tags = [RunTag(name, value) for name, value in {**_lineage_tags(lineage), **results.tags}.items()]
    client.log_batch(run_id, metrics=metrics[:1000], params=named[:BATCH], tags=tags[:BATCH], synchronous=True)
    with tempfile.TemporaryDirectory(prefix="flywheel-") as folder:
        _write_artifacts(Path(folder), results, package)
        client.log_artifacts(run_id, folder)


def _lineage_tags(lineage: Lineage) -> dict[str, str]:
    tags = {
        "data_digest": lineage.data_digest,
        "features_digest": lineage.features_digest,
        "study": lineage.study,
        "semver": lineage.version,
        "semver_reason": lineage.version_reason,
    }
    if lineage.git_commit is not None:
        tags |= {"git_commit": lineage.git_commit, "git_dirty": str(lineage.git_dirty).lower()}
    if lineage.parent is not None:
        tags["champion_version"] = lineage.parent
    return {name: value for name, value in tags.items() if value}


def _write_artifacts(folder: Path, results: Results, package: Path) -> None:
    for name in DOCUMENTS:
        if (package / name).is_file():
            (folder / name).write_bytes((package / name).read_bytes())
    if results.diff:
        (folder / "dirty.diff").write_text(results.diff)
    for name, content in results.documents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    for name, figure in results.figures.items():
        (folder / "plots").mkdir(exist_ok=True)
        figure.savefig(folder / "plots" / name, dpi=120, bbox_inches="tight")


def log_model(package: Path, contract: Contract, example: pl.DataFrame, *, name: str, flavor: str) -> str:
    """Log the model with its package folder on the active run; return its address.

    Requirements are given, not inferred: inference loads the model in a process of its own, which took most of 25 s.

    Args:
        package: The written package folder; it must be called `package`, since MLflow keeps its name.
        contract: Of inputs and outputs.
        example: Raw inputs, n_rows by the contract's columns; the first rows become the model's input example.
        name: Of the model in the run.
        flavor: Of the stored model, whose library is then required.
    """
    with no_advice():
        info = mlflow.pyfunc.log_model(name=name, **_arguments(package, contract, example, flavor))
    return str(info.model_uri)


def save_model(folder: Path, package: Path, contract: Contract, example: pl.DataFrame, *, flavor: str) -> None:
    """Write the same model to a folder, which must not exist, without a run."""
    with no_advice():
        mlflow.pyfunc.save_model(str(folder), **_arguments(package, contract, example, flavor))


def register(model_uri: str, name: str, lineage: Lineage) -> str:
    """Register a logged model as the next version of `name`, and return its number as MLflow writes it."""
    tags = {"semver": lineage.version, "semver_reason": lineage.version_reason}
    tags = {key: value for key, value in tags.items() if value}
    return str(mlflow.register_model(model_uri, name, await_registration_for=None, tags=tags).version)


def _arguments(package: Path, contract: Contract, example: pl.DataFrame, flavor: str) -> dict[str, Any]:
    names = [column.name for column in contract.columns]
    return {
        "python_model": str(Path(model_code.__file__)),
        "artifacts": {"package": str(package)},
        "signature": signature_of(contract),
        "input_example": example.select(names).head(EXAMPLE_ROWS).to_pandas(),
        "pip_requirements": scoring_requirements(flavor),
        "metadata": {"inputs": {column.name: column.type for column in contract.columns}},
    }
