"""The training job: from a use case to one registered version, or to none.

Everything is checked and logged first and the version registered last, so that a run that fails leaves no version.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import mlflow
import structlog
from mlflow.tracking import MlflowClient

from flywheel.errors import NotApprovedError
from flywheel.package import Span
from flywheel.profile import DataProfile, read_data_profile
from flywheel.profiling.series import Series
from flywheel.usecase import UseCase
from training.approval import check_code, check_newer
from training.candidate import Candidate, make_candidate, make_subject
from training.checks.finding import CheckFailedError
from training.checks.report import checks_html
from training.data.dataset import Dataset
from training.evaluation.evaluate import evaluate
from training.evaluation.plots.figures import figures
from training.evaluation.plots.trials import TrialView
from training.evaluation.report import Evaluation
from training.evaluation.subject import Champion, Subject
from training.packaging.blocks import reference_blocks
from training.packaging.champion import Predecessor, Predecessors, Unable, find_predecessors
from training.packaging.environment_lock import environment_lock, scoring_requirements
from training.packaging.lineage import python_version
from training.packaging.package import PackageParts, write_package
from training.packaging.provenance import Grounds, make_lineage
from training.packaging.publish import Results, log_dataset, log_model, log_results, register
from training.packaging.reference import TestRows
from training.prepare import Prepared, encode_rows, moment_of, prepare
from training.search.plan import SearchPlan, Warm, make_plan
from training.search.progress import SearchProgress
from training.search.recorder import TrialRecorder
from training.search.search import Found, search
from training.search.trial import TrialReport, fit
from training.unseen import unseen_answers

_log = structlog.get_logger()

OF_THE_SEARCH = ("optimisation.png", "parallel.png")  # on the run, but not on the card


@dataclass(frozen=True)
class Trained:
    """What a training made."""

    name: str
    version: str
    semver: str
    run_id: str
    evaluation: Evaluation


@dataclass(frozen=True)
class Studied:
    """What the search and the evaluation of its best came to."""

    dataset: Dataset
    plan: SearchPlan
    found: Found
    candidate: Candidate
    subject: Subject
    evaluation: Evaluation


def train(
    usecase: UseCase,
    path: Path,
    url: str,
    *,
    as_of: datetime | None = None,
    trials: int | None = None,
    like_champion: bool = False,
) -> Trained:
    """Tune, evaluate, package, log and register.

    Args:
        usecase: The use case; `path` is its file.
        path: Source and features are relative to its folder.
        url: Of the database where Optuna keeps the study.
        as_of: Naive UTC; nothing known later is used.
        trials: Instead of the use case's number.
        like_champion: Train the champion's code and environment on newer data, or nothing: see `training.approval`.

    Raises:
        NotApprovedError: Something is not the champion's; nothing was searched.
        FlywheelError: A check of the data, the features or the split failed, or the search found nothing.
    """
    with tempfile.TemporaryDirectory(prefix="flywheel-") as place:
        folder = Path(place)
        before = find_predecessors(usecase.name, folder / "versions")
        prepared = _checked(usecase, path, moment_of(usecase, as_of), before, like_champion=like_champion)
        if prepared.warning is not None:
            _log.warning("source", reason=prepared.warning)
        with _run(usecase, prepared.as_of) as run_id:
            studied = _study(prepared, before, folder / "dataset", url, trials)
            return _publish(prepared, before, studied, folder / "package", run_id)


def _checked(usecase: UseCase, path: Path, as_of: datetime, before: Predecessors, *, like_champion: bool) -> Prepared:
    """Check all that can be checked before a fit; a refusal ends a run, which fails and keeps what people need."""
    champion = before.champion
    try:
        if like_champion:
            check_code(usecase, path, as_of, champion)
        prepared = prepare(usecase, path, as_of, last_profile(before))
        if like_champion and champion is not None:
            check_newer(prepared.split.rows[prepared.split.time].item(-1), champion)
    except CheckFailedError as fault:
        with _run(usecase, as_of):
            mlflow.log_text(checks_html(fault.report), "checks.html")
            raise
    except NotApprovedError as fault:
        with _run(usecase, as_of):
            mlflow.set_tag("refused", str(fault))
            raise
    return prepared


def last_profile(before: Predecessors) -> DataProfile | None:
    """Return what the data of the last good run looked like: the champion's, or else the newest version's."""
    for version in (before.champion, before.newest):
        if version is not None and version.package.data_profile.is_file():
            return read_data_profile(version.package.data_profile)
    return None


@contextmanager
def _run(usecase: UseCase, as_of: datetime) -> Iterator[str]:
    if "MLFLOW_RUN_ID" not in os.environ:  # `mlflow run` has made the run already, and chosen the experiment
        mlflow.set_experiment(usecase.name)
    with mlflow.start_run(run_name=f"{usecase.name} as of {as_of:%Y-%m-%d}") as run:
        yield run.info.run_id


def _study(prepared: Prepared, before: Predecessors, folder: Path, url: str, trials: int | None) -> Studied:
    dataset = encode_rows(prepared, folder)
    plan = make_plan(
        prepared.usecase, prepared.home, dataset, as_of=prepared.as_of, trials=trials, warm=warm_of(before.champion)
    )
    _log.info("study", name=plan.study, join=f"flywheel worker {prepared.path} --study {plan.study}")
    found = _search(plan, dataset, url)
    candidate = make_candidate(prepared, dataset, plan, found)
    rival = champion_of(before.champion, prepared, dataset)
    subject = make_subject(prepared, dataset, plan, candidate, rival)
    return Studied(dataset, plan, found, candidate, subject, evaluate(subject))


def warm_of(champion: Predecessor | None) -> Warm | None:
    """Return what the champion was fitted with, for the search to try early."""
    if champion is None:
        return None
    lineage = champion.package.lineage
    return Warm(lineage.family, lineage.params, lineage.study)


def champion_of(champion: Predecessor | None, prepared: Prepared, dataset: Dataset) -> Champion | None:
    """Ask the champion about the same test rows; it may know some of them, when it was trained later than they are."""
    if champion is None:
        return None
    name = f"version {champion.package.lineage.version or champion.version}"
    parts = champion.package.lineage.parts
    if parts and parts["test"].end >= prepared.split.test_cut:
        return Champion(name, reason=f"{name} was fitted on some of these test rows")
    rows = prepared.split.frame(prepared.split.test).select(prepared.inputs)
    answer = champion.predict(rows, prepared.usecase.task, dataset.classes)
    return Champion(name, reason=answer.reason) if isinstance(answer, Unable) else Champion(name, answer)


def _search(plan: SearchPlan, dataset: Dataset, url: str) -> Found:
    run = mlflow.active_run()
    assert run is not None  # noqa: S101  `train` has started it
    client = MlflowClient()
    with (
        TrialRecorder(client, run.info.experiment_id, run.info.run_id, plan.metric) as record,
        SearchProgress(plan) as show,
    ):

        def report(trial: TrialReport) -> None:
            record(trial)
            show(trial)

        return search(plan, dataset, url, report)


def _publish(prepared: Prepared, before: Predecessors, studied: Studied, folder: Path, run_id: str) -> Trained:
    decision = studied.evaluation.decision
    threshold = None if decision is None else decision.threshold
    prepared = prepared.promising(studied.dataset.classes, has_threshold=threshold is not None)
    family = studied.found.family
    lock = environment_lock(scoring_requirements(family.flavor), python_version())
    grounds = Grounds(prepared, studied.plan, studied.found, studied.dataset, before, run_id, lock)
    lineage, diff = make_lineage(grounds)
    drawn = figures(studied.evaluation, studied.subject, [_view(trial) for trial in studied.found.trials])
    subject = studied.subject
    test = TestRows(subject.inputs, subject.label, subject.prediction)
    lineage = write_package(
        folder,
        PackageParts(
            usecase=prepared.usecase,
            usecase_path=prepared.path,
            contract=prepared.contract,
            lineage=lineage,
            columns=studied.dataset.columns,
            classes=studied.dataset.classes,
            model=_last_fit(studied),
            flavor=family.flavor,
            calibration=studied.candidate.calibration,
            threshold=threshold,
            test=test,
            features=subject.features,
            evaluation=studied.evaluation.document(),
            checks_html=checks_html(prepared.checked.report),
            data_profile=prepared.checked.profile,
            blocks=_blocks(prepared, studied),
            lock=lock,
            plots={_title(name): figure for name, figure in drawn.items() if name not in OF_THE_SEARCH},
        ),
    )
    results = Results(studied.evaluation.metrics(), figures=drawn, documents=_documents(prepared, folder), diff=diff)
    _log_data(prepared, lineage.parts)
    log_results(run_id, lineage, results, folder, MlflowClient())
    uri = log_model(folder, prepared.contract, subject.inputs, name=prepared.usecase.name, flavor=family.flavor)
    version = register(uri, prepared.usecase.name, lineage)
    return Trained(prepared.usecase.name, version, lineage.version, run_id, studied.evaluation)


def _view(trial: TrialReport) -> TrialView:
    return TrialView(trial.number, trial.family, trial.params, trial.value, trial.state, trial.seconds)


def _title(file: str) -> str:
    return Path(file).stem.replace("_", " ").capitalize()


def _last_fit(studied: Studied) -> object:
    """Fit the chosen parameters on all labelled rows: what is served knows the latest weeks."""
    plan, found, dataset = studied.plan, studied.found, studied.dataset
    return fit(found.family, found.params, dataset, dataset.everything, seed=plan.seed, threads=plan.threads).model


def _blocks(prepared: Prepared, studied: Studied) -> Series:
    calibration, plan, found = studied.candidate.calibration, studied.plan, studied.found
    answers = unseen_answers(prepared, studied.dataset, calibration, plan=plan, found=found)
    return reference_blocks(prepared.split.rows, prepared.contract, prepared.usecase, answers)


def _documents(prepared: Prepared, folder: Path) -> dict[str, bytes]:
    """Return what else the run keeps: the rows that were set aside, with their reasons."""
    aside = prepared.checked.quarantined
    if aside.is_empty():
        return {}
    path = folder.with_name("quarantine.parquet")
    aside.write_parquet(path)
    return {path.name: path.read_bytes()}


def _log_data(prepared: Prepared, parts: dict[str, Span]) -> None:
    usecase, split = prepared.usecase, prepared.split
    for context, rows in (("train", split.train), ("validation", split.validation), ("test", split.test)):
        log_dataset(
            split.frame(rows),
            name=f"{usecase.name}-{context}",
            context=context,
            label=usecase.data.label.column,
            source=prepared.origin.describe(),
            digest=parts[context].digest,
        )
