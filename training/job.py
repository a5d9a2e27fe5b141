"""The training job: from a use case to one registered version, or to none.

Everything is checked and logged first and the version registered last, so that a run that fails leaves no version.
"""

import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import numpy as np
import polars as pl
from mlflow.entities import RunInfo
from mlflow.tracking import MlflowClient
from optuna.storages import BaseStorage

from flywheel.contract import Contract
from flywheel.package import Lineage
from flywheel.statistics import Floats
from flywheel.usecase import UseCase
from training.evaluate import Scores, importance
from training.families import choose_families, columns_of
from training.features import FeatureFunction, check_rows_alone, load_features
from training.lineage import file_digest, frame_digest, git_state, package_versions, python_version
from training.model_code import estimator_input
from training.package import PackageParts, contract_from_frame, write_package
from training.plots import figures
from training.progress import SearchProgress
from training.publish import log_dataset, log_model, log_results, register
from training.recorder import TrialRecorder
from training.search import Candidate, SearchPlan, Sides, TrialReport, positive, search
from training.sources.rows import input_columns, load_rows
from training.split import Split, split_by_time

IMPORTANCE_ROWS = 2000


@dataclass(frozen=True)
class Prepared:
    """A use case whose data, features and split have passed every check."""

    usecase: UseCase
    path: Path
    as_of: datetime
    contract: Contract
    features: FeatureFunction
    split: Split

    @property
    def inputs(self) -> list[str]:
        """The columns a request carries, event time first."""
        return [column.name for column in self.contract.columns]

    def label(self, rows: pl.DataFrame) -> Floats:
        """Return the labels of `rows` as 0.0 and 1.0."""
        return rows[self.usecase.data.label.column].cast(pl.Float64).to_numpy()

    def model_input(self, rows: pl.DataFrame) -> object:
        """Return what estimators take of `rows`: a pandas frame, n_rows by n_features."""
        return estimator_input(self.features(rows.select(self.inputs)))


@dataclass(frozen=True)
class Trained:
    """What a training made."""

    name: str
    version: str
    run_id: str
    scores: Scores


def prepare(usecase: UseCase, path: Path, as_of: datetime | None) -> Prepared:
    """Read the data and check source, columns, features and split; trains nothing.

    Args:
        usecase: The use case; `path` is its file.
        path: Source and features are relative to its folder.
        as_of: Naive UTC; None takes the use case's `train.until`, or else now.

    Raises:
        DataError: Something of it is not as declared.
        SpecError: A family is unknown.
    """
    choose_families(usecase.train.families)
    moment = as_of or usecase.train.until or datetime.now(UTC).replace(tzinfo=None)
    features = load_features(path.parent / usecase.features)
    rows = load_rows(usecase.data, path.parent, moment)
    inputs = input_columns(rows, usecase.data)
    contract = contract_from_frame(rows.select(inputs), usecase)
    check_rows_alone(features, rows.select(inputs), usecase.train.seed)
    return Prepared(usecase, path, moment, contract, features, split_by_time(rows, usecase, moment))


def train(
    usecase: UseCase, path: Path, storage: BaseStorage, *, as_of: datetime | None = None, trials: int | None = None
) -> Trained:
    """Tune, evaluate, package, log and register.

    Args:
        usecase: The use case; `path` is its file.
        path: Source and features are relative to its folder.
        storage: Where Optuna keeps the study.
        as_of: Naive UTC; nothing known later is used.
        trials: Instead of the use case's number.

    Raises:
        FlywheelError: A check of the data, the features or the split failed.
    """
    prepared = prepare(usecase, path, as_of)
    if "MLFLOW_RUN_ID" not in os.environ:  # `mlflow run` has made the run already, and chosen the experiment
        mlflow.set_experiment(usecase.name)
    with mlflow.start_run(run_name=f"{usecase.name} as of {prepared.as_of:%Y-%m-%d}") as run:
        plan = SearchPlan(
            study=f"{usecase.name}/{run.info.run_id}",
            families=choose_families(usecase.train.families),
            trials=trials or usecase.train.trials,
            train=usecase.train,
            threads=os.cpu_count() or 1,
        )
        digest = _log_data(prepared)
        sides = make_sides(prepared)
        best, history = _search(plan, sides, storage, run.info)
        lineage = make_lineage(prepared, plan, best, run.info.run_id, digest)
        model_uri = _publish(make_parts(prepared, sides, best, lineage, plan), history)
        version = register(model_uri, usecase.name)
    return Trained(usecase.name, version, run.info.run_id, best.scores)


def _log_data(prepared: Prepared) -> str:
    usecase, rows = prepared.usecase, prepared.split.everything
    digest = frame_digest(rows)
    source = prepared.path.parent / usecase.data.source.path
    log_dataset(rows, name=usecase.name, label=usecase.data.label.column, source=source, digest=digest)
    return digest


def _search(plan: SearchPlan, sides: Sides, storage: BaseStorage, info: RunInfo) -> tuple[Candidate, list[float]]:
    with TrialRecorder(MlflowClient(), info.experiment_id, info.run_id) as record, SearchProgress(plan) as show:

        def report(trial: TrialReport) -> None:
            record(trial)
            show(trial)

        best, study = search(plan, sides, storage, report)
    return best, [trial.value for trial in study.get_trials(deepcopy=False) if trial.value is not None]


def _publish(parts: PackageParts, history: list[float]) -> str:
    metric = parts.usecase.train.metric
    drawn = figures(parts.label, parts.probability, parts.scores, parts.importances, history, metric)
    with tempfile.TemporaryDirectory(prefix="flywheel-") as folder:
        package = Path(folder) / "package"
        write_package(package, parts)
        log_results(parts, package, drawn)
        return str(log_model(package, parts).model_uri)


def make_sides(prepared: Prepared) -> Sides:
    """Compute the features of both sides once, for all trials."""
    split, time = prepared.split, prepared.usecase.data.event_time
    return Sides(
        train=prepared.model_input(split.train),
        train_label=prepared.label(split.train),
        validation=prepared.model_input(split.validation),
        validation_label=prepared.label(split.validation),
        validation_day=split.validation[time].dt.epoch("d").to_numpy(),
    )


def make_parts(prepared: Prepared, sides: Sides, best: Candidate, lineage: Lineage, plan: SearchPlan) -> PackageParts:
    """Fit the chosen parameters on train and validation together, and gather what the package holds."""
    random = np.random.default_rng(lineage.seed)
    some = random.permutation(len(sides.validation_label))[:IMPORTANCE_ROWS]
    importances = importance(
        lambda frame: positive(best.estimator, frame),
        sides.validation.iloc[some],
        sides.validation_label[some],
        lineage.seed,
    )
    everything = prepared.model_input(prepared.split.everything)
    final = best.family.estimator(best.params, columns_of(everything), lineage.seed, plan.threads)
    final.fit(everything, prepared.label(prepared.split.everything))
    return PackageParts(
        usecase=prepared.usecase,
        usecase_path=prepared.path,
        contract=prepared.contract,
        lineage=lineage,
        estimator=final,
        validation=prepared.split.validation.select(prepared.inputs),
        label=sides.validation_label,
        probability=best.probability,
        scores=best.scores,
        importances=importances,
        train_rows=prepared.split.train.height,
    )


def make_lineage(prepared: Prepared, plan: SearchPlan, best: Candidate, run_id: str, data_digest: str) -> Lineage:
    """Gather where the version comes from."""
    home, usecase = prepared.path.parent, prepared.usecase
    commit, dirty = git_state(home)
    source = home / usecase.data.source.path
    return Lineage(
        usecase=usecase.name,
        as_of=prepared.as_of,
        trained_at=datetime.now(UTC).replace(tzinfo=None),
        run_id=run_id,
        study=plan.study,
        trials=plan.trials,
        seed=usecase.train.seed,
        family=best.family.name,
        params=dict(best.params),
        data_digest=data_digest,
        data_rows=prepared.split.everything.height,
        usecase_digest=file_digest(prepared.path),
        source_digest=file_digest(source),
        features_digest=file_digest(home / usecase.features),
        git_commit=commit,
        git_dirty=dirty,
        python=python_version(),
        packages=package_versions(),
    )
