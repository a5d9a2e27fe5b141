"""Fits a registered version again from its lineage, and says whether the same model comes out, bit for bit."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from flywheel.errors import DataError
from flywheel.package import INSIDE, Lineage, ModelPackage
from flywheel.statistics import Floats
from flywheel.usecase import UseCase
from training.data.dataset import Columns
from training.data.encoding import code_labels
from training.data.features import load_features
from training.data.frame_digest import Fingerprint, fingerprint
from training.data.weights import row_weights
from training.families.catalogue import choose_families, find_family
from training.families.protocol import Family, FitData
from training.packaging.lineage import package_versions
from training.packaging.model_code import encode, load_native, predict_matrix
from training.packaging.stored_model import model_digest, store_model
from training.prepare import labelled_rows

# Gives the labelled rows of a use case, as the last fit got them: raw, in order of time. The arguments are the use case
# as it was trained, the folder that its paths are relative to, and the time (naive UTC) whose knowledge counts.
Prepare = Callable[[UseCase, Path, datetime], pl.DataFrame]


@dataclass(frozen=True)
class Reproduction:
    """What came out of fitting a version again.

    `largest_difference` is between predictions of both models on the reference sample; `versions` lists libraries that
    are other ones now than then, as `name then → now`.
    """

    model_identical: bool
    predictions_identical: bool
    largest_difference: float
    rows: int
    seconds: float
    versions: tuple[str, ...] = ()

    @property
    def identical(self) -> bool:
        """Whether model and predictions are the same to the bit."""
        return self.model_identical and self.predictions_identical


def reproduce(package: ModelPackage, home: Path, prepare: Prepare = labelled_rows) -> Reproduction:
    """Fit the recorded parameters on the recorded data with recorded seed and threads.

    Args:
        package: Of the version.
        home: The folder that the use case's paths are relative to.
        prepare: Reads the data again.

    Raises:
        DataError: The data are others than those it was trained on, or cannot be read.
        SpecError: Its family is not here.
    """
    lineage, usecase = package.lineage, package.usecase
    rows = prepare(usecase, home, lineage.as_of)
    check_data(fingerprint(rows), lineage)
    start = datetime.now()
    fitted = refit(package, find(package, home), rows)
    seconds = (datetime.now() - start).total_seconds()
    inside = package.folder / INSIDE
    with tempfile.TemporaryDirectory(prefix="flywheel-") as folder:
        again = Path(folder) / "model"
        store_model(fitted, again, lineage.flavor)
        same = model_digest(again) == model_digest(inside / "model")
        matrix = encode(_features(package, pl.read_parquet(package.reference)), _document(inside, "encoding"))
        then, now = (
            predict_matrix(load_native(place, lineage.flavor, usecase.task), matrix, usecase.task)
            for place in (inside / "model", again)
        )
    difference = np.abs(then - now)
    return Reproduction(
        model_identical=same,
        predictions_identical=bool(np.array_equal(then, now)),
        largest_difference=float(difference.max(initial=0.0)),
        rows=rows.height,
        seconds=round(seconds, 2),
        versions=tuple(_other_versions(lineage)),
    )


def refit(package: ModelPackage, family: Family, rows: pl.DataFrame) -> Any:
    """Fit the recorded parameters on all of `rows`, with the features and codes that the package carries."""
    lineage, usecase = package.lineage, package.usecase
    encoding = _document(package.folder / INSIDE, "encoding")
    label, classes = code_labels(rows[usecase.data.label.column], usecase.task)
    data = FitData(
        matrix=encode(_features(package, rows), encoding),
        label=label,
        columns=Columns.from_document(encoding),
        task=usecase.task,
        n_classes={"binary": 2, "multiclass": len(classes), "regression": 0}[usecase.task],
        seed=lineage.seed,
        threads=lineage.threads,
        weight=_weight(usecase, rows),
    )
    with threadpool_limits(lineage.threads):
        return family.fit(lineage.params, data).model


def _weight(usecase: UseCase, rows: pl.DataFrame) -> Floats | None:
    half_life = usecase.train.half_life
    if half_life is None:
        return None
    return row_weights(rows[usecase.data.event_time].dt.epoch("us").to_numpy(), half_life // timedelta(microseconds=1))


def find(package: ModelPackage, home: Path) -> Family:
    """Find the family that the version is of, by name or in a file beside the use case."""
    lineage, usecase = package.lineage, package.usecase
    files = tuple(entry for entry in usecase.train.families or () if entry.endswith(".py"))
    own = find_family(choose_families(files, usecase.task, home), lineage.family) if files else None
    return own or choose_families((lineage.family,), usecase.task, home)[0]


def check_data(found: Fingerprint, lineage: Lineage) -> None:
    """Hold data that were read again to the digest of those that were trained on.

    Raises:
        DataError: They differ; the message says in rows or columns, as far as is known.
    """
    if found.digest == lineage.data_digest:
        return
    known = lineage.columns
    clauses = []
    if found.rows != lineage.data_rows:
        clauses.append(f"{lineage.data_rows:,} labelled rows then, {found.rows:,} now")
    elif known:
        changed = [name for name in known if name in found.columns and found.columns[name] != known[name]]
        clauses += [f"columns with other values: {', '.join(changed)}"] if changed else []
    if known:
        gone, new = [name for name in known if name not in found.columns], [n for n in found.columns if n not in known]
        clauses += [f"columns gone: {', '.join(gone)}"] if gone else []
        clauses += [f"new columns: {', '.join(new)}"] if new else []
    detail = "; ".join(clauses) or "the digests differ"
    raise DataError(
        f"The data are not those of {lineage.as_of.isoformat()} any more ({detail}). Restore them to reproduce it."
    )


def _features(package: ModelPackage, rows: pl.DataFrame) -> pl.DataFrame:
    function = load_features(package.folder / INSIDE / "features.py")
    return function(rows.select(column.name for column in package.contract.columns))


def _document(inside: Path, name: str) -> Any:
    return json.loads((inside / f"{name}.json").read_text())


def _other_versions(lineage: Lineage) -> list[str]:
    now = package_versions()
    return [
        f"{name} {then} → {now.get(name, 'none')}" for name, then in lineage.packages.items() if now.get(name) != then
    ]
