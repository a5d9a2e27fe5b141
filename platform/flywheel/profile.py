"""The profile of a version's reference rows: what inputs, predictions and losses looked like where nobody had trained.

Training writes it as `profile.json`; monitoring compares windows of the log against it. Small and safe to hand on: no
row, no key, and only categories seen at least `MIN_SEEN` times.
"""

from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from flywheel.contract import ColumnType
from flywheel.documents import read_document

MIN_SEEN = 20


class Frozen(BaseModel):
    """A part of the profile: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ColumnProfile(Frozen):
    """One column. Shares are from 0 to 1, of all rows.

    `quantiles` holds the 0 %, 1 %, … 100 % quantiles of the values that are not missing (seconds since 1970 for
    datetimes); empty for text and booleans, which have `categories`. What is in neither was rarer than `MIN_SEEN`.
    """

    name: str
    type: ColumnType
    missing_share: float
    quantiles: tuple[float, ...] = ()
    categories: dict[str, float] = {}


class Reference(Frozen):
    """How well the model did on rows later in time than those it was fitted on.

    `loss` is the mean over rows of what `flywheel.statistics.row_losses` gives: nats for classes, the squared error for
    numbers. Its `standard_error` takes days as the independent units, not rows. `roc_auc` is for two classes only.
    """

    loss_name: Literal["log_loss", "squared_error"] = "log_loss"
    loss: float = Field(validation_alias=AliasChoices("loss", "log_loss"))  # its name before there were other tasks
    standard_error: float
    rows: int
    roc_auc: float | None = None


class Profile(Frozen):
    """The reference rows of one training: `rows` labelled rows from `start` to `end` (naive UTC, both included).

    `label_share` is the share of 1 among the labels, of the commonest of several classes, or the mean of numbers.
    `prediction` is what a version answers with: the probability of 1, the name of a class, or a number.
    """

    schema_version: int = 1
    rows: int
    start: datetime
    end: datetime
    label_share: float
    reference: Reference
    columns: tuple[ColumnProfile, ...]
    prediction: ColumnProfile


class DayStatistic(Frozen):
    """How one figure of a day varied.

    Its mean over the days, its standard deviation between them, and how much a day resembles the next (lag-1
    autocorrelation); the latter two are 0 with a single day.
    """

    mean: float
    sd: float = 0.0
    autocorrelation: float = 0.0


class DataColumn(ColumnProfile):
    """One input over all training rows, with what a day of it looks like.

    A value's place is its rank among `quantiles` as a standard normal score, cut at ±2.6: `location` is a day's mean
    place, `spread` its mean square; both are empty for text and booleans. `missing` is a day's share of missing values,
    `shares` that of each common category, and `other` that of all values that are not listed in `categories`.
    """

    missing: DayStatistic
    location: DayStatistic | None = None
    spread: DayStatistic | None = None
    shares: dict[str, DayStatistic] = {}
    other: DayStatistic | None = None


class DataProfile(Frozen):
    """All training rows of one run, inputs only: what the next run's data are held against.

    `rows` rows lie from `start` to `end` (naive UTC, both included), on `days` days; days are the unit of evidence,
    because rows of a day resemble each other. `together` holds the correlation of the places of two numeric columns
    (Pearson's, of normal scores), for each pair of names in `paired`, row by row.
    """

    schema_version: int = 1
    rows: int
    start: datetime
    end: datetime
    days: int
    rows_per_day: DayStatistic
    columns: tuple[DataColumn, ...]
    paired: tuple[str, ...] = ()
    together: tuple[tuple[float, ...], ...] = ()


def read_data_profile(path: Path) -> DataProfile:
    """Read a `data_profile.json`.

    Raises:
        IntegrityError: The file is missing or is no profile of data.
    """
    return read_document(path, DataProfile)


def read_profile(path: Path) -> Profile:
    """Read a `profile.json`.

    Raises:
        IntegrityError: The file is missing or is no profile.
    """
    return read_document(path, Profile)
