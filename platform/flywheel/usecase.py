"""The use case: what `usecase.yaml` says, checked before any work."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from flywheel.errors import SpecError

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(value: object) -> object:
    """Turn `1d`, `90d`, `12h` into a timedelta; leave the rest to pydantic."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+)([smhdw])", value.strip())
    if match is None:
        raise ValueError("write a number and a unit: 30s, 5m, 12h, 1d or 2w")
    return timedelta(**{UNITS[match[2]]: int(match[1])})


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]


class Strict(BaseModel):
    """A file that people write: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Strict):
    """Where raw rows come from."""

    kind: Literal["python", "csv", "parquet"]
    path: str = Field(description="A file beside usecase.yaml: data, or for `python` a module with `load(as_of)`.")


class Label(Strict):
    """What is predicted, and how long after the event it is known."""

    column: str
    available_after: Duration = timedelta(0)


class Data(Strict):
    """The raw frame: which column is what."""

    source: Source
    entity: str | None = Field(None, description="Key column by which outcomes find their predictions.")
    event_time: str
    label: Label
    subject: str | None = Field(None, description="Column that says whose data a row is.")


class Train(Strict):
    """How models are searched."""

    families: tuple[str, ...] = ("xgboost", "logistic")
    trials: int = Field(12, ge=1, le=1000)
    metric: Literal["log_loss", "roc_auc"] = "log_loss"
    window: Duration | None = Field(None, description="Train on this much history; all of it by default.")
    validation: Duration = timedelta(days=14)
    until: datetime | None = Field(None, description="Train as of this time (UTC) unless `-P as_of` says otherwise.")
    seed: int = 7


class Rollout(Strict):
    """How a new version takes over."""

    steps: tuple[Annotated[int, Field(ge=1, le=99)], ...] = (10, 50)
    margin: float = Field(0.01, gt=0, lt=1, description="Largest tolerated rise of the error rate, absolute.")
    max_minutes: float = Field(30, gt=0, description="Then the rollout holds and asks.")


class Retrain(Strict):
    """When monitoring starts `mlflow run` by itself."""

    margin: float = Field(0.02, ge=0, description="Rise of the realised log-loss over the reference that is tolerated.")
    cooldown: Duration = timedelta(days=30)
    max_total: int = Field(2, ge=0, description="Retrainings that may be started at all.")


class Monitor(Strict):
    """Windows and what they lead to."""

    window: Duration = timedelta(days=30)
    min_outcomes: int = Field(200, ge=1, description="A window with fewer labelled rows decides nothing.")
    retrain: Retrain = Retrain()


class UseCase(Strict):
    """One prediction problem from data to retraining."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{1,62}$")
    task: Literal["binary"] = "binary"
    data: Data
    features: str = "features.py"
    train: Train = Train()
    rollout: Rollout = Rollout()
    monitor: Monitor = Monitor()


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
        first = fault.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise SpecError(f"Use case {where}: unknown key '{key}'. Remove it or correct its spelling.") from fault
        if first["type"] == "missing":
            raise SpecError(f"Use case {where}: key '{key}' is missing. Add it.") from fault
        raise SpecError(f"Use case {where}: '{key}' is wrong: {first['msg']}. Correct it.") from fault


def load_usecase(path: Path) -> UseCase:
    """Read `usecase.yaml`.

    Raises:
        SpecError: The file cannot be read, is no YAML, or is no use case.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as fault:
        raise SpecError(f"Use case {path} cannot be read: {fault.strerror}. Name a usecase.yaml.") from fault
    except yaml.YAMLError as fault:
        line = getattr(getattr(fault, "problem_mark", None), "line", None)
        place = f" near line {line + 1}" if line is not None else ""
        raise SpecError(f"Use case {path} is no YAML{place}. Correct it.") from fault
    return parse_usecase(document, str(path))
