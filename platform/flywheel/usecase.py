"""The use case: what `usecase.yaml` says, checked before any work."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from flywheel.durations import Duration
from flywheel.errors import SpecError
from flywheel.faults import sentence_of
from flywheel.limits import Limits
from flywheel.monitor_spec import Monitor
from flywheel.rollout_spec import Rollout
from flywheel.yaml_text import parse_yaml, yaml_reason

Task = Literal["binary", "multiclass", "regression"]


class Strict(BaseModel):
    """A file that people write: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Strict):
    """Where raw rows come from."""

    kind: Literal["python", "csv", "parquet", "delta", "sql"] = Field(description="What reads it.")
    path: str | None = Field(
        None,
        description="Beside usecase.yaml, or absolute, or s3://…: a file, a folder of files, a glob, a Delta table; for"
        " `python` a module with `load(as_of)`.",
    )
    database: str | None = Field(
        None,
        description="For sql: postgresql://…, sqlite:///FILE or duckdb:///FILE; ${NAME} is taken from the environment.",
    )
    query: str | None = Field(None, description="For sql: a SELECT, or the path of a .sql file beside usecase.yaml.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "sql" and (self.database is None or self.query is None or self.path is not None):
            raise ValueError("kind sql takes database and query, and no path")
        if self.kind != "sql" and (self.path is None or self.database is not None or self.query is not None):
            raise ValueError(f"kind {self.kind} takes path, and no database or query")
        return self

    @property
    def place(self) -> str:
        """Name the source in messages, without passwords."""
        return self.path if self.path is not None else f"query on {str(self.database).split('@')[-1]}"


class Join(Strict):
    """A table whose latest row known at the event time is put beside each row: an as-of join, never from the future."""

    source: Source = Field(description="The joined table.")
    by: tuple[str, ...] = Field(description="Columns that both tables have and that must be equal; may be empty.")
    time: str = Field(description="Column of the joined table: when its row was true.")
    available_after: Duration = Field(timedelta(0), description="How much later that row was known.")
    within: Duration | None = Field(None, description="Rows older than this count as missing.")
    columns: tuple[str, ...] | None = Field(None, description="What to take; all others by default.")
    prefix: str = Field("", description="Stands before the names of what is taken.")


class Label(Strict):
    """What is predicted, and how long after the event it is known."""

    column: str = Field(description="What is predicted; null while it is unknown.")
    available_after: Duration = Field(timedelta(0), description="How long after the event it is known.")
    positive: str | int | bool | None = Field(None, description="For binary: the value that counts as 1.")
    max_missing: float = Field(
        0.1, ge=0, le=1, description="Largest share of rows whose label should be known by now and is missing."
    )


class Data(Strict):
    """The raw frame: which column is what."""

    source: Source = Field(description="The rows.")
    joins: tuple[Join, ...] = Field((), description="Tables whose latest known rows are put beside them.")
    entity: str | None = Field(None, description="Key column by which outcomes find their predictions.")
    event_time: str = Field(description="Column that says when a row happened: what was known then may be used.")
    time_zone: str = Field("UTC", description="What times without a zone are in.")
    label: Label = Field(description="The column to predict.")
    subject: str | None = Field(None, description="Column that says whose data a row is.")
    group: str | None = Field(None, description="Rows of one group never lie on both sides of a split.")
    exclude: tuple[str, ...] = Field((), description="Columns that are no inputs: leaks, notes, other keys.")


Action = Literal["off", "warn", "quarantine", "stop"]


class ColumnCheck(Strict):
    """What one input must keep to, in training and in requests; only text, numbers and times have these."""

    min: float | None = Field(None, description="Smallest allowed value.")
    max: float | None = Field(None, description="Largest allowed value.")
    categories: tuple[str, ...] | None = Field(None, description="All values that text may have.")
    max_missing: float | None = Field(None, ge=0, le=1, description="Largest share of missing values; 0: never.")
    unique: bool = Field(False, description="No value may occur twice.")
    action: Action = Field("quarantine", description="What happens to training rows that break it.")


class Checks(Strict):
    """The data contract beyond types: what is checked before each training, and what a breach leads to."""

    columns: dict[str, ColumnCheck] = Field({}, description="Rules of single inputs, by their names.")
    infinite: Action = Field("stop", description="What happens to rows with an infinite value.")
    duplicates: Action = Field("stop", description="Two rows with the same entity and event time.")
    freshness: Duration | None = Field(None, description="The newest row is at most this old; else it is a stop.")
    min_rows: int = Field(1, ge=1, description="Fewer rows are a stop.")
    volume: float | None = Field(
        0.5, gt=0, description="Rows a day at least this share of the last good run's; a breach acts as `anomalies`."
    )
    anomalies: Literal["off", "warn", "stop"] = Field(
        "warn", description="A distribution that left the last good run's: shift, missing values, new categories."
    )


class Train(Strict):
    """How models are searched. Times are cut in this order: train, gap, validation, gap, test."""

    families: tuple[str, ...] | None = Field(
        None, description="Names, or Python files beside usecase.yaml; by default those that suit the task."
    )
    trials: int = Field(12, ge=1, le=1000, description="How many are finished, by all workers and sessions together.")
    minutes: float | None = Field(None, gt=0, description="Start no trial after this; `trials` still bounds them.")
    metric: str | None = Field(None, description="By default log_loss, or rmse for regression.")
    window: Duration | None = Field(None, description="Train on this much history; all of it by default.")
    half_life: Duration | None = Field(
        None, description="Rows weigh half for each such time that they are older than the newest; alike by default."
    )
    validation: Duration = Field(timedelta(days=14), description="What candidates are chosen on.")
    test: Duration | None = Field(None, description="Held out to the end; by default as long as validation.")
    folds: int = Field(1, ge=1, le=20, description="Rolling-origin folds, each with a validation of that length.")
    until: datetime | None = Field(None, description="Train as of this time (UTC) unless `-P as_of` says otherwise.")
    seed: int = Field(7, description="Of proposals, fits and resamples.")
    seeds: int = Field(1, ge=1, le=20, description="The best candidates are fitted again with so many seeds.")
    workers: int = Field(1, ge=1, le=64, description="Processes on this machine; `flywheel worker` adds more.")
    threads: int | None = Field(None, ge=1, description="Of one fit; by default the machine's cores by workers.")
    pruning: bool = Field(True, description="End trials early that fall behind the median.")
    warm_start: bool = Field(True, description="Try the champion's parameters first.")


class Costs(Strict):
    """What wrong decisions cost, in any unit; right ones cost nothing."""

    false_positive: float = Field(ge=0, description="Decided 1 where 0 became true.")
    false_negative: float = Field(ge=0, description="Decided 0 where 1 became true.")


class Behaviour(Strict):
    """A test of what the model does when an input changes (Ribeiro et al. 2020, CheckList)."""

    name: str = Field(description="What the report calls it.")
    column: str = Field(description="The raw input that is changed.")
    set: str | float | bool | None = Field(None, description="Change it to this.")
    add: float | None = Field(None, description="Add this.")
    multiply: float | None = Field(None, description="Multiply by this.")
    expect: Literal["same", "higher", "lower"] = Field(description="Of the prediction, for regression and class 1.")
    tolerance: float = Field(0.0, ge=0, description="Changes up to this much count as none.")
    share: float = Field(0.95, gt=0, le=1, description="Least share of rows that must behave.")

    @model_validator(mode="after")
    def _one_change(self) -> Self:
        if sum(change is not None for change in (self.set, self.add, self.multiply)) != 1:
            raise ValueError("a behaviour changes its column by exactly one of set, add, multiply")
        return self


class Evaluate(Strict):
    """What is measured on the test rows beside the metrics."""

    costs: Costs | None = Field(None, description="For binary: sets the threshold of decisions.")
    calibration: Literal["auto", "none", "isotonic", "platt"] = Field(
        "auto", description="How probabilities are corrected; auto chooses on the validation rows."
    )
    slices: tuple[str, ...] = Field((), description="Columns (inputs or features) whose parts are scored apart.")
    worst_slices: int = Field(5, ge=0, description="How many of the worst parts found by search are shown.")
    behaviours: tuple[Behaviour, ...] = Field((), description="Tests of what the model does when an input changes.")
    bootstrap: int = Field(500, ge=100, description="Resamples (of days) behind each interval.")


class Gates(Strict):
    """What a version must keep beyond the server's policy; a limit that is looser than the policy's is moot."""

    required: tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")], ...] = Field(
        (), description="Gates beside those of the policy, by name."
    )
    limits: Limits = Field(Limits(), description="What they measure against, where that is stricter than the policy's.")


LITERAL_PASSWORD = re.compile(r"://[^/@]*:(?!\$\{\w+\}@)[^/@]+@")


class UseCase(Strict):
    """One prediction problem from data to retraining."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9-]{1,62}$", description="Of the registered model and the address that serves it."
    )
    task: Task = Field("binary", description="What is predicted: yes or no, one of several classes, or a number.")
    data: Data = Field(description="The rows, and which column is what.")
    checks: Checks = Field(Checks(), description="The data contract.")
    features: str = Field("features.py", description="File with `features(frame)`, beside usecase.yaml.")
    train: Train = Field(Train(), description="Split and search.")
    evaluate: Evaluate = Field(Evaluate(), description="What is measured on the test rows.")
    gates: Gates = Field(Gates(), description="What a version must keep before it may go to Production.")
    rollout: Rollout = Field(Rollout(), description="A new version's way into traffic.")
    monitor: Monitor = Field(Monitor(), description="Windows, and when to train again.")

    @model_validator(mode="after")
    def _costs_are_known(self) -> Self:
        kpi = self.rollout.kpi
        if kpi is not None and kpi.measure == "cost" and self.evaluate.costs is None:
            raise ValueError("rollout.kpi measures costs, and evaluate.costs does not say them; write them there")
        return self

    @model_validator(mode="after")
    def _one_level(self) -> Self:
        if self.monitor.recalibrate is not None and self.task != "binary":
            raise ValueError(f"monitor.recalibrate moves the log-odds of yes or no, and task {self.task} has none")
        return self

    @model_validator(mode="after")
    def _no_password(self) -> Self:
        # The file travels with every version.
        for source in (self.data.source, *(join.source for join in self.data.joins)):
            if source.database is not None and LITERAL_PASSWORD.search(source.database):
                raise ValueError("a password stands in a source's database: put it into the environment, write ${NAME}")
        return self


def parse_usecase(document: Any, where: str) -> UseCase:
    """Check a use case that has been read; `where` names it in messages.

    Raises:
        SpecError: Something is missing, unknown or of the wrong type.
    """
    if not isinstance(document, dict):
        raise SpecError(f"Use case {where} must be a mapping with name, data and features. See examples/flights.")
    try:
        return UseCase.model_validate(document)
    except ValidationError as fault:
        raise SpecError(f"Use case {where}: {sentence_of(fault)}") from fault


def load_usecase(path: Path) -> UseCase:
    """Read `usecase.yaml`.

    Raises:
        SpecError: The file cannot be read, is no YAML, or is no use case.
    """
    try:
        document = parse_yaml(path.read_text())
    except OSError as fault:
        raise SpecError(f"Use case {path} cannot be read: {fault.strerror}. Name a usecase.yaml.") from fault
    except yaml.YAMLError as fault:
        raise SpecError(f"Use case {path} is no YAML: {yaml_reason(fault)}. Correct it.") from fault
    return parse_usecase(document, str(path))
