"""The losses of the version that is live, as its outcomes come, for months.

Nothing is kept in memory: an outcome that is new finds its answer in the log. So a restart costs nothing, and what a
look costs goes with the new outcomes, of which there may be none, and not with the answers that wait for theirs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl
import pyarrow as pa

from deploy.evidence.arms import CHAMPION
from deploy.evidence.learning import learn
from deploy.evidence.losses import losses
from deploy.evidence.plan import EvidencePlan, Loss
from deploy.evidence.reader import OUTCOME, OUTPUT, RECORD, WANTED, complete
from deploy.evidence.waiting import KEY, LATE
from flywheel.appended import COMMIT
from flywheel.fields import read_fields
from flywheel.records import LOGGED_OUTCOMES, NOT_MIRRORED, REQUESTS, answered, prediction_schema
from flywheel.storage import PredictionLog, reading

# Outcomes of a look; of more, as a file of a whole month, a part is drawn that does not depend on what they say.
MOST = 20_000
OUTCOMES = LOGGED_OUTCOMES.append(pa.field(COMMIT, pa.int64()))
# A line's time is when its request came, by another clock than the record's.
MARGIN = timedelta(hours=1)


@dataclass(frozen=True)
class LastingLosses:
    """Reads the losses of one version while it answers what no challenger does.

    Args:
        log: Has them.
        usecase: Its name.
        plan: Of which task, outputs, horizon and unit count; its champion is the version.
        since: What it answered before is not asked about (naive UTC).
    """

    log: PredictionLog
    usecase: str
    plan: EvidencePlan
    since: datetime

    def newest(self) -> int:
        """Return the number of the last append of outcomes, 0 before any: without a new one there is nothing to read.

        Raises:
            StackError: The log cannot be read.
        """
        with reading(self.usecase):
            return self.log.newest(self.usecase, "outcomes")

    def after(self, place: int, now: datetime, loss: Loss) -> tuple[list[float], int]:
        """Return the loss of each answer whose first outcome came after an append, in their order, and the next place.

        Outcomes of the last ten minutes are left for later: their answers may not be in the log yet.

        Args:
            place: Number of the last append of outcomes that is known already.
            now: The time (naive UTC).
            loss: Its kind and bounds.

        Raises:
            StackError: The log cannot be read.
        """
        with reading(self.usecase):
            new = self._new(place, now - LATE)
            if new.is_empty():
                return [], place
            found = self._found(_part(new), place)
            return ([] if found.is_empty() else self._by_unit(found, loss)), _last(new)

    def _new(self, place: int, settled: datetime) -> pl.DataFrame:
        parts = self.log.after(self.usecase, "outcomes", place, OUTCOME)
        if not parts:
            return pl.DataFrame(schema={COMMIT: pl.Int64})
        rows = pl.concat(complete(part, WANTED["outcomes"]).select(COMMIT, *OUTCOME) for part in parts)
        young = rows.filter(pl.col("recorded_time") > settled)[COMMIT].min()
        return (rows if young is None else rows.filter(pl.col(COMMIT) < young)).sort(COMMIT, maintain_order=True)

    def _found(self, new: pl.DataFrame, place: int) -> pl.DataFrame:
        """Return this version's answers, (n, …), with the `outcome` and `label` that the new outcomes are the first of.

        The rule is that of a rollout: `deploy.evidence.learning`.
        """
        answers = self._answers(new)
        if answers.is_empty():
            return answers
        told = self._told(answers, place)
        known = learn(answers, answers.height, told.clear(), told, self.plan.horizon).known
        new = new.drop(COMMIT)
        learned = learn(answers.with_columns(known), answers.height, new.clear(), new, self.plan.horizon).learned
        mine = pl.col("model_version") == self.plan.champion
        return learned.filter(mine & (pl.col("arm").is_null() | (pl.col("arm") == CHAMPION)))

    def _answers(self, new: pl.DataFrame) -> pl.DataFrame:
        """Return all that clients got of what the outcomes may be of, from any version: an entity's last one counts."""
        begin = self._begin(new["recorded_time"])
        scored = (pl.col("recorded_time") >= begin) & (pl.col("status") == "scored") & NOT_MIRRORED
        of_these = _among("prediction_id", new["prediction_id"]) | _among("entity", new["entity"])
        every = self.log.scan(self.usecase, "predictions", prediction_schema(None))
        rows = every.filter(scored & of_these).select(*RECORD, "outputs").collect()
        if rows.is_empty():
            return rows
        outputs = read_fields(rows, "outputs", self.plan.outputs).rename(lambda name: OUTPUT + name)
        lines = self.log.scan(self.usecase, "requests", REQUESTS).filter(pl.col("time") >= begin - MARGIN)
        lines = lines.filter(_among("request_id", rows["request_id"])).select("request_id", "time", "code", "attempts")
        marked = answered(rows.drop("outputs").hstack(outputs), lines.collect()).filter(pl.col("answered"))
        return marked.drop("answered").with_columns(known=pl.lit(value=False))

    def _told(self, answers: pl.DataFrame, place: int) -> pl.DataFrame:
        """Return the outcomes that were known already of these answers: what is said later of them is no evidence."""
        before = (pl.col(COMMIT) <= place) | pl.col(COMMIT).is_null()
        of_these = _among("prediction_id", answers["prediction_id"]) | _among("entity", answers["entity"])
        every = self.log.scan(self.usecase, "outcomes", OUTCOMES)
        return every.filter(before & of_these).select(COMMIT, *OUTCOME).sort(COMMIT).drop(COMMIT).collect()

    def _begin(self, taken: pl.Series) -> datetime:
        """Return since when an answer can be whose outcome still counts."""
        first, horizon = taken.min(), self.plan.horizon
        if horizon is None or not isinstance(first, datetime) or taken.null_count():
            return self.since
        return max(self.since, first - horizon)

    def _by_unit(self, found: pl.DataFrame, loss: Loss) -> list[float]:
        unit = pl.coalesce("unit", "request_id") if self.plan.sticky else pl.col("request_id")
        values = found.select(unit.alias(KEY)).with_columns(losses(found, self.plan, loss).alias("value")).drop_nulls()
        return values.group_by(KEY, maintain_order=True).agg(pl.col("value").mean())["value"].to_list()


def _part(new: pl.DataFrame) -> pl.DataFrame:
    """Return the outcomes, or of too many those of a part of the keys."""
    if new.height <= MOST:
        return new
    drawn = pl.coalesce("prediction_id", "entity").hash(seed=0) < (1 << 64) * MOST // new.height
    return new.filter(drawn)


def _among(column: str, keys: pl.Series) -> pl.Expr:
    """Say whether a column has one of these keys; by the ends of their range most files are not even opened."""
    known: Sequence[str] = keys.drop_nulls().unique().sort().to_list()
    if not known:
        return pl.lit(value=False)
    return pl.col(column).is_between(pl.lit(known[0]), pl.lit(known[-1])) & pl.col(column).is_in(known)


def _last(new: pl.DataFrame) -> int:
    return int(new.select(pl.col(COMMIT).max()).item())
