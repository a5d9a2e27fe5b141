"""Gate: is the version at least as good as the champion, on the same rows?

Neither model may know the rows: the candidate's side are its held-out predictions, and the champion is asked only about
rows later than everything that it was fitted on. Where there are none, rows that both held out are looked for.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from flywheel.errors import FlywheelError
from flywheel.limits import Limits
from flywheel.package import INSIDE, ModelPackage, read_package
from flywheel.statistics import Floats
from registry.gates.evidence import Measurement
from registry.gates.gate import Candidate, UnmeasurableError, judged
from registry.gates.intervals import mean_of
from registry.gates.offline import answers_of
from registry.gates.sample import Sample, losses_of, main_output, read_evaluation, read_sample

FEWEST_ROWS = 100


@dataclass(frozen=True)
class Pairs:
    """Rows with the losses of both, (n_rows,); `fair` is False where the champion was fitted on some of them."""

    sample: Sample
    ours: Floats
    theirs: Floats
    origin: str
    fair: bool = True


class Champion:
    """Compares losses row by row; passes unless the candidate is shown to be worse than the margin allows.

    Shown: the lower end of the 95 % interval of the mean difference lies above the margin. So noise fails nobody, and
    a version that is truly worse is found the surer the more rows there are.
    """

    name = "champion"
    title = "Not worse than the champion"

    def measure(self, candidate: Candidate, limits: Limits) -> Measurement:
        """Pair the losses, and take the interval of their mean difference by days."""
        if candidate.champion_fault:
            raise UnmeasurableError(candidate.champion_fault)
        if candidate.champion is None:
            return judged(True, "There is no champion to be compared with: this is the first, or the champion itself.")
        pairs = _pairs(candidate)
        mean = mean_of(pairs.ours - pairs.theirs, pairs.sample.days)
        margin = limits.champion_margin if limits.champion_margin is not None else np.inf
        passed = mean.low <= margin
        if not passed and not pairs.fair:
            raise UnmeasurableError(
                "The champion was fitted on these rows, so that its losses are too small to compare with. Train on"
                " newer data, or compare the versions' training cards."
            )
        return judged(
            passed,
            f"Its {pairs.sample.loss_name} on {len(pairs.ours)} {pairs.origin} differs from the champion's by"
            f" {mean.value:+.4g} (95 % interval {mean.low:+.4g} to {mean.high:+.4g} over {mean.units} {mean.unit}): "
            + ("not shown to be worse." if passed else "it is worse."),
            value=mean.value,
            limit=limits.champion_margin,
            unit=pairs.sample.loss_name,
            low=mean.low if np.isfinite(mean.low) else None,
            high=mean.high if np.isfinite(mean.high) else None,
            details={
                "rows": len(pairs.ours),
                "candidate_loss": float(pairs.ours.mean()),
                "champion_loss": float(pairs.theirs.mean()),
                "rows_are": pairs.origin,
                "better": bool(mean.high < 0),
                "training_said": _recorded(candidate),
            },
        )


def _pairs(candidate: Candidate) -> Pairs:
    sample, folder = candidate.sample, candidate.champion
    if sample is None or folder is None:
        raise UnmeasurableError("There are no labelled rows: the version is no package that `mlflow run` made.")
    theirs = read_package(folder) if (folder / INSIDE).is_dir() else None
    if theirs is not None and theirs.usecase.task != sample.task:
        raise UnmeasurableError(f"The champion is of task {theirs.usecase.task}, this version of {sample.task}.")
    later = sample.keep(_later(sample, theirs))
    if len(later.label) >= FEWEST_ROWS:
        return Pairs(later, later.losses, _asked(candidate, later), "held-out rows later than all the champion knows")
    both = _held_out_by_both(sample, theirs)
    if both is not None:
        return both
    return Pairs(sample, sample.losses, _asked(candidate, sample), "rows that the champion knows", fair=False)


def _later(sample: Sample, champion: ModelPackage | None) -> pl.Series:
    times = sample.inputs[sample.event_time]
    parts = champion.lineage.parts if champion else {}
    if not parts:
        return pl.Series([False] * len(times), dtype=pl.Boolean)
    return times > max(part.end for part in parts.values())


def _held_out_by_both(sample: Sample, champion: ModelPackage | None) -> Pairs | None:
    """Pair rows that lie in both samples: equal in the time and in all inputs and the label that both have."""
    theirs = read_sample(champion) if champion else None
    if theirs is None or theirs.event_time != sample.event_time:
        return None
    shared = [name for name in sample.inputs.columns if theirs.inputs.schema.get(name) == sample.inputs.schema[name]]
    ours = _keyed(sample, shared)
    joined = ours.join(
        _keyed(theirs, shared), on=[*shared, "_label", "_nth"], how="inner", nulls_equal=True, suffix="_2"
    )
    if joined.height < FEWEST_ROWS or sample.event_time not in shared:
        return None
    joined = joined.sort("_row")
    kept = ours["_row"].is_in(joined["_row"].implode())
    common = sample.keep(kept)
    return Pairs(common, common.losses, losses_of(common, joined["_prediction_2"]), "rows that both held out")


def _keyed(sample: Sample, names: list[str]) -> pl.DataFrame:
    frame = sample.inputs.select(names).with_columns(
        sample.labelled.cast(pl.String).alias("_label"),
        sample.predicted.alias("_prediction"),
        pl.int_range(pl.len()).alias("_row"),
    )
    return frame.with_columns(pl.int_range(pl.len()).over(*names, "_label").alias("_nth"))


def _asked(candidate: Candidate, sample: Sample) -> Floats:
    """Ask the champion about the sample's inputs; return its loss of each row."""
    folder = candidate.champion
    assert folder is not None  # noqa: S101  # `_pairs` has looked
    package = read_package(folder) if (folder / INSIDE).is_dir() else None
    columns = package.contract.columns if package else ()
    gone = [one.name for one in columns if one.name not in sample.inputs.columns and not one.nullable]
    if gone:
        raise UnmeasurableError(f"The champion asks for input '{gone[0]}', which this version's rows do not have.")
    known = [one.name for one in columns if one.name in sample.inputs.columns] or sample.inputs.columns
    try:
        answers = answers_of(folder, sample.inputs.select(known), python=candidate.python, work=candidate.work)
    except UnmeasurableError as fault:
        raise UnmeasurableError(f"The champion cannot be compared with: {fault}") from fault
    wanted = main_output(sample.task)
    if wanted not in answers.columns:
        raise UnmeasurableError(f"The champion does not answer '{wanted}', so that it cannot be compared with.")
    return losses_of(sample, answers[wanted])


def _recorded(candidate: Candidate) -> dict[str, object] | None:
    """Return what training found beside the champion of its time; None where it did not compare."""
    try:
        found = read_evaluation(candidate.folder).get("champion")
    except FlywheelError:
        return None
    return {key: found.get(key) for key in ("name", "verdict", "reason", "loss")} if isinstance(found, dict) else None
