"""Writes the package folder of a version: the stored model, what surrounds it, and the evidence that goes with it."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.figure import Figure
from pydantic import BaseModel

from flywheel.contract import Column, ColumnType, Contract
from flywheel.errors import DataError
from flywheel.package import Lineage
from flywheel.usecase import Task, UseCase
from training.card import CardFacts, card_html, card_markdown
from training.dataset import Columns
from training.model_code import encode
from training.onnx_form import OnnxParts, write_onnx
from training.reference import TestRows, make_profile, reference_sample
from training.stored_model import check_stored, model_digest, store_model

TYPES: dict[type[pl.DataType], ColumnType] = {
    pl.Int64: "long",
    pl.Float64: "double",
    pl.String: "string",
    pl.Boolean: "boolean",
    pl.Datetime: "datetime",
}


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
        calibration: What `training.model_code.calibrate` takes.
        threshold: From which probability on the decision is yes; None without one.
        test: The test rows with the predictions of the model that was evaluated on them.
        features: Of the same rows, as the feature function makes them.
        evaluation: What was measured, for machines and for the card.
        checks_html: The report of the data checks.
        data_profile: Of all training rows' inputs.
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
    lock: str
    plots: Mapping[str, Figure]

    @property
    def task(self) -> Task:
        """What the model predicts."""
        return self.usecase.task


def contract_from_frame(frame: pl.DataFrame, usecase: UseCase) -> Contract:
    """Make the contract of raw inputs: n_rows by (event time, inputs), typed as `training.sources.rows.load_rows` types them.

    Doubles, text and times other than the event's may be missing in a request even when training saw none missing:
    every family copes, and a measurement that fails must not refuse a prediction. Whole numbers and booleans may not.

    Raises:
        DataError: An input's name ends up twice, or is a key.
    """
    columns = []
    for name, kind in frame.schema.items():
        type_ = TYPES[kind.base_type()]
        nullable = type_ not in ("long", "boolean") and name != usecase.data.event_time
        columns.append(Column(name=name, type=type_, nullable=nullable))
    try:
        return Contract(
            columns=tuple(columns),
            event_time=usecase.data.event_time,
            entity=usecase.data.entity,
            subject=usecase.data.subject,
        )
    except ValueError as fault:
        raise DataError(f"The inputs make no contract: {fault}. Correct the source.") from fault


def write_package(folder: Path, parts: PackageParts) -> Lineage:
    """Write every file of the package into `folder`, which must not exist; return the lineage as it stands there.

    Raises:
        DataError: The model cannot be stored safely, or does not answer the same when read again.
    """
    folder.mkdir(parents=True)
    shutil.copyfile(parts.usecase_path, folder / "usecase.yaml")
    shutil.copyfile(parts.usecase_path.parent / parts.usecase.features, folder / "features.py")
    _write_model(folder, parts)
    (folder / "contract.json").write_text(parts.contract.model_dump_json(indent=1))
    _write_json(folder / "evaluation.json", parts.evaluation)
    (folder / "checks.html").write_text(parts.checks_html)
    (folder / "requirements.lock").write_text(parts.lock)
    _write_reference(folder, parts)
    lineage = parts.lineage.model_copy(update={"model_digest": model_digest(folder / "model")})
    (folder / "lineage.json").write_text(lineage.model_dump_json(indent=1))
    facts = CardFacts(parts.usecase, lineage, parts.contract, parts.evaluation, parts.plots)
    (folder / "card.md").write_text(card_markdown(facts))
    (folder / "card.html").write_text(card_html(facts))
    return lineage


def _write_model(folder: Path, parts: PackageParts) -> None:
    pairs = zip(parts.columns.names, parts.columns.categories, strict=True)
    encoding = [{"name": name, "categories": values} for name, values in pairs]
    _write_json(folder / "encoding.json", encoding)
    _write_json(folder / "model.json", {"task": parts.task, "classes": parts.classes, "flavor": parts.flavor})
    _write_json(folder / "calibration.json", parts.calibration)
    _write_json(folder / "decision.json", {"threshold": parts.threshold})
    store_model(parts.model, folder / "model", parts.flavor)
    matrix = encode(parts.features, encoding)
    check_stored(folder / "model", parts.flavor, parts.task, parts.model, matrix)
    form = OnnxParts(parts.model, parts.columns, parts.task, len(parts.classes), parts.calibration)
    write_onnx(folder, form, parts.features, matrix)


def _write_reference(folder: Path, parts: PackageParts) -> None:
    sample = reference_sample(parts.test, parts.contract, parts.task, parts.classes, seed=parts.lineage.seed)
    sample.write_parquet(folder / "reference.parquet")
    profile = make_profile(parts.test, parts.contract, parts.task, parts.classes)
    (folder / "profile.json").write_text(profile.model_dump_json(indent=1))
    (folder / "data_profile.json").write_text(parts.data_profile.model_dump_json(indent=1))


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, allow_nan=False))
