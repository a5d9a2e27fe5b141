"""The newest rows of a version: does what was served agree with what training computes, are inputs whole and fresh?"""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from flywheel.fields import read_fields
from flywheel.package import ModelPackage
from flywheel.profile import read_data_profile
from monitoring.skew.agreement import Agreement, replay_rows
from monitoring.skew.anomaly import RowScorer
from monitoring.skew.completeness import Jump, Stale, missing_jumps, stale_times
from monitoring.skew.replay import Replayer

REPLAYED = 500  # rows, spread over the window: a difference that is systematic shows in few
SEED = 7


@dataclass(frozen=True)
class Inputs:
    """What the newest rows of a version look like.

    Attributes:
        agreement: Served against replayed.
        jumps: Columns that are missing far more often than in training.
        stale: Times that are older than they were.
        unusual: Share of rows that are stranger than all but one in a thousand of training's; None without a profile.
        strangest: Prediction id of the strangest row, where there are any; '' without one.
        why: What is strange about it.
        until: The newest row's event time.
    """

    agreement: Agreement
    jumps: tuple[Jump, ...]
    stale: tuple[Stale, ...]
    unusual: float | None
    strangest: str
    why: str
    until: datetime

    def body(self) -> dict[str, object]:
        """Return it as plain JSON."""
        return {
            "agreement": self.agreement.body(),
            "jumps": [jump.body() for jump in self.jumps],
            "stale": [one.body() for one in self.stale],
            "unusual": self.unusual,
            "strangest": self.strangest,
            "why": self.why,
            "until": self.until.isoformat(),
        }


def judge_inputs(version: str, rows: pl.DataFrame, package: ModelPackage) -> Inputs:
    """Look at the rows (n_rows, at least one) that a version answered.

    Raises:
        DataError: Its feature function fails on them.
        IntegrityError: Its package is damaged.
    """
    contract = package.contract
    sample = rows.sample(min(REPLAYED, rows.height), seed=SEED).sort("event_time")
    agreement = replay_rows(version, sample, Replayer.open(package))
    inputs = read_fields(rows, "inputs", {column.name: column.type for column in contract.columns})
    until = rows["event_time"].max()
    assert isinstance(until, datetime)  # noqa: S101  # at least one row
    if not package.data_profile.is_file():
        return Inputs(agreement, (), (), None, "", "", until)
    profile, reference = read_data_profile(package.data_profile), pl.read_parquet(package.reference)
    anomalies = RowScorer.make(profile, reference).score(inputs)
    unusual = anomalies.unusual()
    strangest = int(anomalies.scores.argmax())
    return Inputs(
        agreement=agreement,
        jumps=missing_jumps(inputs, rows["event_time"], profile),
        stale=stale_times(inputs, rows["event_time"], reference, contract.event_time),
        unusual=len(unusual) / rows.height,
        strangest=str(rows["prediction_id"][strangest]) if unusual else "",
        why="; ".join(anomalies.why(strangest)) if unusual else "",
        until=until,
    )
