"""What every training begins with: rows read, checked, turned into features and split, before anything is fitted.

`flywheel check` stops here; `training.job` goes on; a worker elsewhere encodes the same rows to join a study.
"""

import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from flywheel.contract import Contract, outputs_of
from flywheel.profile import DataProfile
from flywheel.usecase import UseCase
from training.checks.check import check_data
from training.checks.contract import contract_from_rows
from training.checks.finding import CheckResult
from training.data.dataset import Dataset
from training.data.encoding import write_dataset
from training.data.features import FeatureFunction, check_rows_alone, load_features
from training.data.split import Split, split
from training.evaluation.wishes import check_wishes
from training.families.catalogue import DEFAULTS, check_weights, choose_families
from training.metrics import choose_metric
from training.sources.origin import Origin
from training.sources.rows import input_columns, load_source
from training.sources.time_travel import check_no_future

SAMPLE = 500  # rows on which the promises of a feature function are tried


@dataclass(frozen=True)
class Read:
    """Rows that keep their contract, and where they came from."""

    origin: Origin
    contract: Contract
    checked: CheckResult
    warning: str | None


@dataclass(frozen=True)
class Prepared:
    """A use case whose data, features and split have passed every check.

    `contract` says nothing of classes and decisions yet: those come with the dataset and the evaluation. `warning` is
    what the time-travel test could not see, or None.
    """

    usecase: UseCase
    path: Path
    as_of: datetime
    origin: Origin
    contract: Contract
    features: FeatureFunction
    checked: CheckResult
    split: Split
    warning: str | None = None

    @property
    def home(self) -> Path:
        """The use case's folder."""
        return self.path.parent

    @property
    def inputs(self) -> list[str]:
        """The columns a request carries, event time first."""
        return [column.name for column in self.contract.columns]

    def features_of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the features of raw rows, n_rows by n_features."""
        return self.features(rows.select(self.inputs))

    def promising(self, classes: tuple[str, ...], *, has_threshold: bool) -> "Prepared":
        """Return the same with a contract that names what the model answers."""
        outputs = outputs_of(self.usecase.task, classes, has_threshold=has_threshold)
        return replace(self, contract=self.contract.model_copy(update={"outputs": outputs}))


def moment_of(usecase: UseCase, as_of: datetime | None) -> datetime:
    """Return the time (naive UTC) after which nothing is known: as asked, or the use case's, or now.

    Now is the hour that began last, so that a training that was killed is the same one when it is started again.
    """
    return as_of or usecase.train.until or datetime.now(UTC).replace(tzinfo=None, minute=0, second=0, microsecond=0)


def prepare(usecase: UseCase, path: Path, as_of: datetime | None, last: DataProfile | None = None) -> Prepared:
    """Read the data and check source, contract, features and split; fits nothing.

    Args:
        usecase: The use case; `path` is its file.
        path: Source and features are relative to its folder.
        as_of: Naive UTC; None takes the use case's `train.until`, or else now.
        last: Data profile of the last good run, which anomalies are measured against.

    Raises:
        DataError: Something of it is not as declared; CheckFailedError carries the report of the checks.
        SpecError: The use case asks for what does not exist.
        TransientError: The source went away while it was read.
    """
    home, moment = path.parent, moment_of(usecase, as_of)
    families = choose_families(usecase.train.families or DEFAULTS[usecase.task], usecase.task, home)
    if usecase.train.half_life is not None:
        check_weights(families)
    choose_metric(usecase.task, usecase.train.metric)
    features = load_features(home / usecase.features)
    read = read_rows(usecase, home, moment, last)
    made = split(read.checked.clean, usecase, moment)
    some = read.checked.clean.select(column.name for column in read.contract.columns)
    check_rows_alone(features, some, usecase.train.seed)
    sample = some.head(SAMPLE)
    check_wishes(usecase.evaluate, usecase.task, sample.schema, features(sample).schema)
    return Prepared(usecase, path, moment, read.origin, read.contract, features, read.checked, made, read.warning)


def read_rows(usecase: UseCase, home: Path, as_of: datetime, last: DataProfile | None) -> Read:
    """Read the source and hold its rows against their contract.

    Raises:
        DataError: A row or column is not as declared; CheckFailedError carries the report.
        TransientError: The source went away while it was read.
    """
    loaded = load_source(usecase.data, home, as_of, usecase.task)
    warning = check_no_future(loaded.rows, usecase.data, home)
    inputs = input_columns(loaded.rows, usecase.data)
    contract = contract_from_rows(loaded.rows.select(inputs), usecase, outputs_of("regression"))
    checked = check_data(loaded.rows, usecase, contract, as_of=as_of, last=last)
    return Read(loaded.origin, contract, checked, warning)


def labelled_rows(usecase: UseCase, home: Path, as_of: datetime) -> pl.DataFrame:
    """Return the rows that the last fit of a training gets: checked, labelled, in order of time."""
    return split(read_rows(usecase, home, as_of, None).checked.clean, usecase, as_of).rows


def encode_rows(prepared: Prepared, folder: Path) -> Dataset:
    """Compute the features of all labelled rows once, and write them encoded into `folder` for every worker."""
    rows = prepared.split.rows
    usecase = prepared.usecase
    features = prepared.features_of(rows)
    return write_dataset(folder, features, prepared.split, usecase.task, half_life=usecase.train.half_life)


def prepare_dataset(usecase: UseCase, path: Path, as_of: datetime) -> Dataset:
    """Make the dataset of a study from the source, on a machine where the search's folder does not lie.

    Its files are gone when this returns; the arrays stay, because they are mapped.
    """
    with tempfile.TemporaryDirectory(prefix="flywheel-") as folder:
        return encode_rows(prepare(usecase, path, as_of), Path(folder))
