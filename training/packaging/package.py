"""Writes the package folder of a version: the stored model, what surrounds it, and the evidence that goes with it."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from matplotlib.figure import Figure
from pydantic import BaseModel

from flywheel.contract import Contract
from flywheel.package import BLOCKS, Lineage
from flywheel.profiling.series import Series
from flywheel.profiling.series_file import series_bytes
from flywheel.usecase import Task, UseCase, load_usecase
from training.data.dataset import Columns
from training.packaging.card import CardFacts, card_html, card_markdown
from training.packaging.model_code import answer, calibrate, encode, predict_matrix
from training.packaging.onnx_form import write_onnx
from training.packaging.onnx_graph import OnnxParts
from training.packaging.reference import TestRows, make_profile, reference_sample, sampled
from training.packaging.stored_model import check_stored, model_digest, store_model


@dataclass(frozen=True)
class PackageParts:
    """All that a package is made of.

    Args:
        usecase: As trained; `usecase_path` is its file, beside which the feature file lies.
        contract: Of raw inputs and outputs.
        lineage: Its `model_digest` is filled in by writing.
        columns: The features' order and categories.
        classes: Names of the codes, for multiclass.
        model: Fitted on all labelled rows; `flavor` names the MLflow module that stores it.
        calibration: What `training.packaging.model_code.calibrate` takes.
        threshold: From which probability on the decision is yes; None without one.
        test: The test rows with the predictions of the model that was evaluated on them.
        features: Of the same rows, as the feature function makes them.
        evaluation: What was measured, for machines and for the card.
        checks_html: The report of the data checks.
        data_profile: Of all training rows' inputs.
        blocks: The labelled rows, day by day.
        lock: The text of requirements.lock.
        plots: Figures for the card, by title.
    """

    usecase: UseCase
    usecase_path: Path
    contract: Contract
    lineage: Lineage
    columns: Columns
    classes: tuple[str, ...]
    model: Any
    flavor: str
    calibration: Mapping[str, Any]
    threshold: float | None
    test: TestRows
    features: pl.DataFrame
    evaluation: Mapping[str, Any]
    checks_html: str
    data_profile: BaseModel
    blocks: Series
    lock: str
    plots: Mapping[str, Figure]

    @property
    def task(self) -> Task:
        """What the model predicts."""
        return self.usecase.task


def write_package(folder: Path, parts: PackageParts) -> Lineage:
    """Write every file of the package into `folder`, which must not exist; return the lineage as it stands there.

    Raises:
        DataError: The model cannot be stored safely, or does not answer the same when read again.
    """
    folder.mkdir(parents=True)
    _write_usecase(folder / "usecase.yaml", parts)
    shutil.copyfile(parts.usecase_path.parent / parts.usecase.features, folder / "features.py")
    onnx = _write_model(folder, parts)
    (folder / "contract.json").write_text(parts.contract.model_dump_json(indent=1))
    _write_json(folder / "evaluation.json", parts.evaluation)
    (folder / "checks.html").write_text(parts.checks_html)
    (folder / "requirements.lock").write_text(parts.lock)
    _write_reference(folder, parts)
    lineage = parts.lineage.model_copy(update={"model_digest": model_digest(folder / "model")})
    (folder / "lineage.json").write_text(lineage.model_dump_json(indent=1))
    facts = CardFacts(parts.usecase, lineage, parts.contract, parts.evaluation, onnx, parts.plots)
    (folder / "card.md").write_text(card_markdown(facts))
    (folder / "card.html").write_text(card_html(facts))
    return lineage


def _write_model(folder: Path, parts: PackageParts) -> Mapping[str, Any]:
    encoding = parts.columns.document()
    _write_json(folder / "encoding.json", encoding)
    _write_json(folder / "model.json", {"task": parts.task, "classes": parts.classes, "flavor": parts.flavor})
    _write_json(folder / "calibration.json", parts.calibration)
    _write_json(folder / "decision.json", {"threshold": parts.threshold})
    store_model(parts.model, folder / "model", parts.flavor)
    check_stored(folder / "model", parts.flavor, parts.task, parts.model, encode(parts.features, encoding))
    form = OnnxParts(
        model=parts.model,
        columns=parts.columns,
        task=parts.task,
        classes=parts.classes,
        calibration=parts.calibration,
        threshold=parts.threshold,
        outputs=parts.contract.outputs,
    )
    return write_onnx(folder, form, parts.features)


def _write_usecase(path: Path, parts: PackageParts) -> None:
    """Copy the file, comments and all; where the training was told otherwise (`-P window`), write what it was told."""
    if load_usecase(parts.usecase_path) == parts.usecase:
        shutil.copyfile(parts.usecase_path, path)
        return
    document = parts.usecase.model_dump(mode="json", exclude_unset=True)
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


def _write_reference(folder: Path, parts: PackageParts) -> None:
    places = sampled(parts.test, seed=parts.lineage.seed)
    reference_sample(parts.test, places, parts.task, parts.classes).write_parquet(folder / "reference.parquet")
    _answers(parts, parts.features[places]).write_parquet(folder / "answers.parquet")
    profile = make_profile(parts.test, parts.contract, parts.task, parts.classes)
    (folder / "profile.json").write_text(profile.model_dump_json(indent=1))
    (folder / "data_profile.json").write_text(parts.data_profile.model_dump_json(indent=1))
    (folder / BLOCKS).write_bytes(series_bytes(parts.blocks, dense=True))


def _answers(parts: PackageParts, features: pl.DataFrame) -> pl.DataFrame:
    """Return what the packaged model answers: it knows the test rows, so its answers say nothing of how good it is."""
    raw = predict_matrix(parts.model, encode(features, parts.columns.document()), parts.task)
    corrected = calibrate(raw, dict(parts.calibration))
    return pl.from_pandas(answer(corrected, parts.task, list(parts.classes), parts.threshold))


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, allow_nan=False))
