"""What a reviewer looks at: a candidate's figures beside the champion's, and who did what when."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

# The ends of a metric's interval are metrics of their own, named after it.
LOW, HIGH = "_low", "_high"
TEST = "test_"
OVER_CHAMPION = "test_loss_over_champion"

# Where less is better, by the metric's last word; for anything else unknown we take no side.
LESS_IS_BETTER = (
    "log_loss",
    "brier",
    "loss",
    "error",
    "rmse",
    "mae",
    "ece",
    "cost",
    "over_baseline",
    "worst_slices",
    "behaviours_failed",
)
# What the data alone make, or the model before it was corrected.
NOT_OF_THE_MODEL = ("baseline_", "test_uncalibrated_")
MORE_IS_BETTER = ("auc", "average_precision", "accuracy", "f1", "recall", "precision", "r2")


@dataclass(frozen=True)
class Measured:
    """A metric's value, and the ends of its interval where the run has logged both."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Figure:
    """One metric of candidate and champion; `verdict` is better, worse, same, or '' where nobody can say."""

    name: str
    candidate: Measured | None
    champion: Measured | None
    verdict: str

    @property
    def change(self) -> float | None:
        """Candidate minus champion."""
        if self.candidate is None or self.champion is None:
            return None
        return self.candidate.value - self.champion.value


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
    """A version with what its run left: figures, parameters, data, code, and documents by file name."""

    version: "ModelVersion"
    metrics: Mapping[str, float]
    params: Mapping[str, str]
    data: tuple[DataUsed, ...]
    commit: str | None
    experiment_id: str | None
    documents: tuple[str, ...] = ()
    champion_version: str | None = None  # which was champion when it was trained

    @property
    def made(self) -> datetime:
        """When the version was registered, UTC."""
        return datetime.fromtimestamp(self.version.creation_timestamp / 1000, UTC)


def side(version: "ModelVersion", run: "Run | None", documents: tuple[str, ...] = ()) -> Side:
    """Put a version, its run and the run's documents together; a version without a run has no figures."""
    if run is None:
        return Side(version, {}, {}, (), None, None)
    tags, experiment = run.data.tags, run.info.experiment_id
    commit, rival = tags.get("mlflow.source.git.commit"), tags.get("champion_version")
    return Side(version, run.data.metrics, run.data.params, _data(run), commit, experiment, documents, rival)


def on_same_data(candidate: Side, champion: Side) -> bool:
    """Say whether both read the same data by its digest: only then does a difference of metrics speak of the models."""
    return bool(candidate.data) and {item.digest for item in candidate.data} == {item.digest for item in champion.data}


def figures(candidate: Side, champion: Side | None) -> list[Figure]:
    """Compare all metrics that either has, those of the test rows first; none is called better on different data.

    What already is a comparison is left to `over_champion`.
    """
    ours, theirs = measured(candidate.metrics), measured(champion.metrics if champion else {})
    judged = theirs if champion and on_same_data(candidate, champion) else {}
    names = sorted({*ours, *theirs} - {OVER_CHAMPION}, key=lambda name: (not name.startswith(TEST), name))
    return [Figure(name, ours.get(name), theirs.get(name), _verdict(name, ours, judged)) for name in names]


def measured(metrics: Mapping[str, float]) -> dict[str, Measured]:
    """Put the ends of intervals beside their metrics; an end without its metric, or without the other, stays one."""
    found = {}
    for name, value in metrics.items():
        whole = name.removesuffix(LOW).removesuffix(HIGH)
        if whole != name and {whole, whole + LOW, whole + HIGH} <= metrics.keys():
            continue
        ends = (metrics.get(name + LOW), metrics.get(name + HIGH))
        found[name] = Measured(value, *ends) if None not in ends else Measured(value)
    return found


def over_champion(candidate: Side) -> Measured | None:
    """Return by how much the candidate's loss exceeds that of the champion it was compared with, on the same rows."""
    return measured(candidate.metrics).get(OVER_CHAMPION)


def settings(candidate: Side, champion: Side | None) -> list[Setting]:
    """Compare all parameters that either has; those that differ come first."""
    theirs = champion.params if champion else {}
    rows = [
        Setting(name, candidate.params.get(name), theirs.get(name), candidate.params.get(name) != theirs.get(name))
        for name in sorted({*candidate.params, *theirs})
    ]
    return sorted(rows, key=lambda row: not row.differs)


def less_is_better(name: str) -> bool | None:
    """Say whether less of a metric is better, by its name; None where nobody can say."""
    lowered = name.lower()
    if lowered.endswith(LESS_IS_BETTER):
        return True
    return False if lowered.endswith(MORE_IS_BETTER) else None


def _verdict(name: str, ours: Mapping[str, Measured], theirs: Mapping[str, Measured]) -> str:
    less = less_is_better(name)
    of_the_model = not name.startswith(NOT_OF_THE_MODEL)
    if name not in ours or name not in theirs or less is None or not of_the_model:
        return ""
    our, their = ours[name].value, theirs[name].value
    if our == their:
        return "same"
    return "better" if (our < their) == less else "worse"


def _data(run: "Run") -> tuple[DataUsed, ...]:
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return tuple(DataUsed(item.dataset.name, item.dataset.digest, _context(item.tags)) for item in inputs)


def _context(tags: list[object]) -> str:
    return next(
        (str(getattr(tag, "value", "")) for tag in tags if getattr(tag, "key", "") == "mlflow.data.context"), ""
    )
