"""What a plan is made from: traffic, errors, deciles and bounds of the champion, read from a real log."""

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from deploy.evidence.plan import Bins
from deploy.evidence.reader import Reader
from deploy.evidence.references import (
    Past,
    Traffic,
    bins_of,
    bins_of_classes,
    bins_of_profile,
    loss_of,
    read_past,
    read_traffic,
)
from deploy.verdict_metrics import ShiftSpec
from flywheel.errors import StackError
from flywheel.position import Position
from flywheel.profile import ColumnProfile, Profile, Reference
from tests.deploy.evidence.rollout_log import NAME, OUTPUTS, RolloutLog, line, outcome, plan, record, second

ASKED = "/shop/invocations"


def test_traffic_and_errors_are_those_of_the_last_hour_that_no_challenger_was_given(tmp_path: Path) -> None:
    made = RolloutLog(tmp_path)
    made.append(
        "requests",
        [
            line(1, path=ASKED),
            line(3_700, path=ASKED),
            line(3_701, path=ASKED, arm=None, code=503),
            line(3_702, path="/shop/v2/models/shop/infer?x=1", arm=None, attempts=2),
            line(3_703, path="/inference.GRPCInferenceService/ModelInfer", grpc_status=14),
            line(3_704, "challenger", path=ASKED, code=503),
            line(3_705, path="/shop/ping"),
            line(3_706, path=ASKED, code=429, attempts=0),  # refused at the door
        ],
    )
    assert read_traffic(made.log, NAME, second(5_000)) == Traffic(4, 5 / 1_300, 0.75)  # since the first
    assert read_traffic(made.log, NAME, second(3_720)).requests_per_second == 5 / 60  # a minute at least
    assert read_traffic(made.log, NAME, second(7_301)).requests_per_second == 4 / 3_600
    assert read_traffic(made.log, NAME, second(50_000)) == Traffic(0, 0.0, None)


def test_a_table_that_is_cut_is_said_in_one_sentence_by_whoever_reads_it(tmp_path: Path) -> None:
    made = RolloutLog(tmp_path)
    made.append("requests", [line(number, path=ASKED) for number in range(500)])
    made.append("predictions", [record(number, outputs={"probability": 0.5}) for number in range(500)])
    reader = Reader(made.log, NAME, "another", plan())
    for file in tmp_path.rglob("*.parquet"):
        file.write_bytes(file.read_bytes()[:-40])
    outputs = {one.name: one.type for one in OUTPUTS["binary"]}
    for read in (
        lambda: read_traffic(made.log, NAME, second(600)),
        lambda: read_past(made.log, NAME, "1", outputs, second(600)),
        lambda: reader.between(Position()),
    ):
        with pytest.raises(StackError, match=f"The prediction log of {NAME} cannot be read: .*Restore it from a copy"):
            read()


def test_edges_are_the_deciles_of_the_champions_recent_answers(tmp_path: Path) -> None:
    made = RolloutLog(tmp_path)
    old, new = second(0), second(200_000)
    rows = [record(n, outputs={"probability": 0.9, "decision": True}, recorded_time=old) for n in range(150)]
    rows += [
        record(n, outputs={"probability": n / 1_000, "decision": True}, recorded_time=new) for n in range(1_000, 2_000)
    ]
    rows.append(record(9, "shadow", recorded_time=new))
    made.append("predictions", rows)
    outputs = {one.name: one.type for one in OUTPUTS["binary"]}
    past = read_past(made.log, NAME, "1", outputs, new + timedelta(hours=1))
    bins = bins_of(past.predictions)
    assert bins is not None
    assert bins.edges == tuple(1 + part / 10 for part in range(1, 10))
    assert ShiftSpec(kind="shift", bins=bins.count).bins == 10
    assert bins_of(past.predictions.head(99)) is None
    assert bins_of(pl.Series([1.0] * 200)) is None


def test_classes_and_a_packages_profile_give_bins_too() -> None:
    assert bins_of_classes({one.name: one.type for one in OUTPUTS["multiclass"]}) == Bins(classes=("calm", "rain"))
    reference = Reference(loss=0.5, standard_error=0.1, rows=10)
    column = ColumnProfile(name="p", type="double", missing_share=0, quantiles=tuple(n / 100 for n in range(101)))
    at = datetime(2026, 1, 1)
    given = Profile(rows=1, start=at, end=at, label_share=0.5, reference=reference, columns=(), prediction=column)
    assert bins_of_profile(given) == Bins(edges=tuple(part / 10 for part in range(1, 10)))
    classes = column.model_copy(update={"quantiles": (), "type": "string"})
    assert bins_of_profile(given.model_copy(update={"prediction": classes})) is None


@pytest.mark.parametrize(("task", "kind"), [("binary", "log_loss"), ("regression", "squared_error")])
def test_bounds_of_the_loss_hold_the_champions_recent_ones(tmp_path: Path, task: str, kind: str) -> None:
    made = RolloutLog(tmp_path, task)
    value = {"binary": "probability", "regression": "prediction"}[task]
    made.answered([record(n, outputs={value: 0.25 + n / 1_000}) for n in range(200)])
    how = plan(task)
    now = second(300)
    assert loss_of(read_past(made.log, NAME, "1", how.outputs, now), how) is None
    made.append("outcomes", [outcome(float(n % 2), prediction_id=f"cn{n}") for n in range(200)])
    later = datetime.now() + timedelta(minutes=1)  # the log's own clock says when it took them
    assert later > now
    past = read_past(made.log, NAME, "1", how.outputs, now)
    assert past.learned.height == 200
    loss = loss_of(past, how)
    assert loss is not None
    assert (loss.kind, loss.low) == (kind, 0.0)
    largest = {"binary": 1.3823, "regression": 0.75**2 / 0.25}[task]
    assert loss.high == pytest.approx(2 * largest, rel=0.02)


def test_outcomes_that_are_no_numbers_bound_no_loss_of_numbers() -> None:
    learned = pl.DataFrame({"output.prediction": [1.0, 2.0], "outcome": [None, float("nan")], "label": ["rain", None]})
    assert loss_of(Past(learned["output.prediction"], learned), plan("regression")) is None
