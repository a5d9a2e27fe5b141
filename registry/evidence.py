"""What a reviewer looks at: a candidate's figures beside the champion's, and who did what when."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

# Where less is better, by the metric's last word; for anything else unknown we take no side.
LESS_IS_BETTER = ("log_loss", "brier", "error", "rmse", "mae", "ece")
MORE_IS_BETTER = ("auc", "average_precision", "accuracy", "f1", "recall", "precision", "r2")


@dataclass(frozen=True)
class Figure:
    """One metric of candidate and champion; `verdict` is better, worse, same, or '' where nobody can say."""

    name: str
    candidate: float | None
    champion: float | None
    verdict: str

    @property
    def change(self) -> float | None:
        """Candidate minus champion."""
        if self.candidate is None or self.champion is None:
            return None
        return self.candidate - self.champion


@dataclass(frozen=True)
class Setting:
    """One parameter of candidate and champion."""

    name: str
    candidate: str | None
    champion: str | None
    differs: bool


@dataclass(frozen=True)
class DataUsed:
    """A dataset that a run has read, with its digest."""

    name: str
    digest: str
    context: str


@dataclass(frozen=True)
class Side:
    """A version with what its run left: figures, parameters, data and code."""

    version: "ModelVersion"
    metrics: Mapping[str, float]
    params: Mapping[str, str]
    data: tuple[DataUsed, ...]
    commit: str | None
    experiment_id: str | None

    @property
    def made(self) -> datetime:
        """When the version was registered, UTC."""
        return datetime.fromtimestamp(self.version.creation_timestamp / 1000, UTC)


def side(version: "ModelVersion", run: "Run | None") -> Side:
    """Put a version and its run together; a version without a run has no figures."""
    if run is None:
        return Side(version, {}, {}, (), None, None)
    commit = run.data.tags.get("mlflow.source.git.commit")
    return Side(version, run.data.metrics, run.data.params, _data(run), commit, run.info.experiment_id)


def on_same_data(candidate: Side, champion: Side) -> bool:
    """Say whether both read the same data by its digest: only then does a difference of metrics speak of the models."""
    return bool(candidate.data) and {item.digest for item in candidate.data} == {item.digest for item in champion.data}


def figures(candidate: Side, champion: Side | None) -> list[Figure]:
    """Compare all metrics that either has, by name; none is called better or worse on different data."""
    theirs = champion.metrics if champion else {}
    judged = theirs if champion and on_same_data(candidate, champion) else {}
    return [
        Figure(name, candidate.metrics.get(name), theirs.get(name), _verdict(name, candidate.metrics, judged))
        for name in sorted({*candidate.metrics, *theirs})
    ]


def settings(candidate: Side, champion: Side | None) -> list[Setting]:
    """Compare all parameters that either has; those that differ come first."""
    theirs = champion.params if champion else {}
    rows = [
        Setting(name, candidate.params.get(name), theirs.get(name), candidate.params.get(name) != theirs.get(name))
        for name in sorted({*candidate.params, *theirs})
    ]
    return sorted(rows, key=lambda row: not row.differs)


def _verdict(name: str, ours: Mapping[str, float], theirs: Mapping[str, float]) -> str:
    less, more = name.lower().endswith(LESS_IS_BETTER), name.lower().endswith(MORE_IS_BETTER)
    if name not in ours or name not in theirs or not (less or more):
        return ""
    if ours[name] == theirs[name]:
        return "same"
    return "better" if (ours[name] < theirs[name]) == less else "worse"


def _data(run: "Run") -> tuple[DataUsed, ...]:
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return tuple(DataUsed(item.dataset.name, item.dataset.digest, _context(item.tags)) for item in inputs)


def _context(tags: list[object]) -> str:
    return next(
        (str(getattr(tag, "value", "")) for tag in tags if getattr(tag, "key", "") == "mlflow.data.context"), ""
    )
