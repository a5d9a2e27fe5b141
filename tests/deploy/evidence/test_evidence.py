"""Looks at a real log: each record counts at one look, restarts go on, and bad evidence is refused."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy.evidence.evidence import Evidence
from deploy.evidence.plan import EvidencePlan
from deploy.verdict_looks import CountsLook, MeanLook, UsersLook
from flywheel.errors import DataError
from flywheel.storage import TableName
from tests.deploy.evidence.rollout_log import NAME, ROLLOUT, RolloutLog, Row, line, outcome, plan, record, second

LOSS: dict[str, Any] = {"loss": {"low": 0.0, "high": 4.0}}
CONVERSION = {"kind": "conversion", "low": 0, "high": 1}


def of(made: RolloutLog, how: EvidencePlan) -> Evidence:
    return Evidence.of(made.log, NAME, ROLLOUT, how)


def test_a_look_at_an_empty_log_has_the_forms_of_the_verdict_and_nothing_in_them(tmp_path: Path) -> None:
    how = plan(
        sticky=True,
        users=True,
        bins={"edges": [0.5]},
        shadow=True,
        kpi=CONVERSION,
        **LOSS,
    )
    evidence = of(RolloutLog(tmp_path), how)
    documents = evidence.since(evidence.start()).documents
    assert UsersLook.model_validate(documents["users"]).taken() == ({}, {})
    assert CountsLook.model_validate(documents["prediction_shift"]).taken() == ([0, 0], [0, 0])
    for name in ("loss", "kpi", "shadow"):
        assert MeanLook.model_validate(documents[name]).taken() is None


def test_rows_before_the_start_and_of_other_rollouts_are_no_evidence(tmp_path: Path) -> None:
    made, how = RolloutLog(tmp_path), plan(bins={"edges": [0.4]})
    made.append("predictions", [record(1)])
    evidence = of(made, how)
    cursor = evidence.start()
    made.append("predictions", [record(2), record(3, rollout="shop-1"), record(4, rollout=None, arm="champion")])
    found = evidence.since(cursor)
    assert found.documents["prediction_shift"] == {"canary": [0, 0], "baseline": [0, 1]}
    assert evidence.since(found.cursor).documents["prediction_shift"] == {"canary": [0, 0], "baseline": [0, 0]}


def test_errors_go_to_the_unit_and_the_arm_that_a_request_was_given_to_once_however_often_it_was_tried(
    tmp_path: Path,
) -> None:
    made = RolloutLog(tmp_path)
    evidence = of(made, plan(sticky=True, users=True))
    cursor = evidence.start()
    made.append(
        "requests",
        [
            line(1, "challenger", unit="ada", attempts=2),  # crashed, and the champion answered
            line(2, "challenger", unit="ada", code=503, attempts=4),
            line(3, "challenger", unit="bob"),
            line(4, "challenger", unit="bob", code=422),  # the client's fault
            line(5, "challenger", unit="eve", grpc_status=14),
            line(6, unit="kim", code=504),
            line(7, code=503),  # nobody's: split by itself
        ],
    )
    found = evidence.since(cursor)
    assert found.documents["users"] == {"canary": {"ada": 2, "eve": 1}, "baseline": {"kim": 1, "r7": 1}}
    assert found.shown["requests"] == {
        "canary": {"requests": 5, "errors": 3, "without_unit": 0},
        "baseline": {"requests": 2, "errors": 2, "without_unit": 1},
    }


@pytest.mark.parametrize("restarted", [False, True])
def test_a_unit_in_both_arms_is_refused_also_across_looks_and_restarts(tmp_path: Path, restarted: bool) -> None:
    made, how = RolloutLog(tmp_path), plan(sticky=True, users=True)
    evidence = of(made, how)
    made.append("requests", [line(1, unit="ada"), line(2, "challenger", unit="bob")])
    cursor = evidence.since(evidence.start() | {"at": {}, "start": {}}).cursor
    made.append("requests", [line(3, "challenger", unit="ada")])
    with pytest.raises(DataError, match="Unit 'ada' was sent to both arms at one step, so units are not what was"):
        (of(made, how) if restarted else evidence).since(cursor)


def test_a_unit_may_change_sides_between_steps_and_what_was_asked_before_the_step_is_left_out(tmp_path: Path) -> None:
    made, how = RolloutLog(tmp_path), plan(sticky=True, users=True, bins={"edges": [0.4]})
    evidence = of(made, how)
    cursor = evidence.start()
    made.append("requests", [line(1, unit="ada", code=500)])
    cursor = evidence.since(cursor, second(0)).cursor
    made.append("requests", [line(2, unit="ada", code=500), line(11, "challenger", unit="ada", code=500)])
    made.append("predictions", [record(2), record(11, "challenger")])
    found = evidence.since(cursor, second(10))
    assert found.documents["users"] == {"canary": {"ada": 1}, "baseline": {}}
    assert found.documents["prediction_shift"] == {"canary": [0, 1], "baseline": [0, 0]}


def test_predictions_are_counted_by_request_and_by_the_version_that_made_them(tmp_path: Path) -> None:
    made = RolloutLog(tmp_path)
    evidence = of(made, plan(bins={"edges": [0.2, 0.6]}))
    cursor = evidence.start()
    low, high = ({"probability": value, "decision": None} for value in (0.1, 0.6))
    made.append(
        "predictions",
        [
            record(1, outputs=low),
            record(2, "challenger", outputs=high),
            record(2, "challenger", outputs=high, row=1, prediction_id="x"),
            record(3, "challenger", model_version="1", attempt=2),  # the champion stood in
            record(4, "challenger", status="failed", outputs=None),
            record(5, "shadow"),
        ],
    )
    assert evidence.since(cursor).documents["prediction_shift"] == {"canary": [0, 0, 1], "baseline": [1, 0, 0]}


def test_classes_are_bins_by_themselves(tmp_path: Path) -> None:
    made = RolloutLog(tmp_path, "multiclass")
    evidence = of(made, plan("multiclass", bins={"classes": ["calm", "rain"]}))
    cursor = evidence.start()
    said = [{"prediction": name, "probability_calm": 0.4, "probability_rain": 0.6} for name in ("rain", "snow")]
    made.append("predictions", [record(1, outputs=said[0]), record(2, "challenger", outputs=said[1])])
    assert evidence.since(cursor).documents["prediction_shift"] == {"canary": [0, 0, 1], "baseline": [0, 1, 0]}


def test_an_outcome_counts_once_at_the_look_at_which_its_answer_and_its_line_are_there_too(tmp_path: Path) -> None:
    made = RolloutLog(tmp_path)
    evidence = of(made, plan(**LOSS))
    cursor = evidence.start()
    made.append("outcomes", [outcome(1.0, prediction_id="c1"), outcome(0.0, prediction_id="cr2")])
    looks = []
    pieces: list[tuple[TableName, list[Row]]] = [
        ("predictions", [record(1, prediction_id="c1"), record(2, "challenger")]),
        ("requests", [line(1), line(2, "challenger")]),
        ("outcomes", [outcome(0.0, prediction_id="c1", time_known=second(2_000))]),  # a correction comes too late
    ]
    for table, rows in pieces:
        made.append(table, rows)
        found = evidence.since(cursor)
        cursor = found.cursor
        looks.append((len(found.documents["loss"]["canary"]), len(found.documents["loss"]["baseline"])))
    assert looks == [(0, 0), (1, 1), (0, 0)]
    assert found.shown["outcomes"] == {
        "canary": {"waiting": 0, "censored": 0},
        "baseline": {"waiting": 0, "censored": 0},
    }


def test_what_no_client_got_has_no_loss(tmp_path: Path) -> None:
    made = RolloutLog(tmp_path)
    evidence = of(made, plan(**LOSS))
    cursor = evidence.start()
    made.append("predictions", [record(1), record(1, attempt=2, prediction_id="second"), record(2, "challenger")])
    made.append("requests", [line(1, attempts=2), line(2, "challenger", code=504)])
    made.append("outcomes", [outcome(1.0, prediction_id=name) for name in ("cn1", "second", "cr2")])
    found = evidence.since(cursor)
    assert found.cursor["held"]["loss"] == {"canary": [], "baseline": [pytest.approx(0.6931, abs=1e-4)]}


def test_values_of_one_arm_are_held_in_the_cursor_until_the_other_arm_has_some(tmp_path: Path) -> None:
    made = RolloutLog(tmp_path)
    how = plan(**LOSS)
    cursor = of(made, how).start()
    for number, arm in ((1, "champion"), (2, "champion"), (3, "challenger")):
        made.answered([record(number, arm, prediction_id=f"p{number}")])
        made.append("outcomes", [outcome(1.0, prediction_id=f"p{number}")])
        found = of(made, how).since(cursor)  # a new process at each look
        cursor = found.cursor
        assert bool(found.documents["loss"]["canary"]) == (number == 3)
    assert [len(found.documents["loss"][side]) for side in ("canary", "baseline")] == [1, 2]
    assert cursor["held"]["loss"] == {"canary": [], "baseline": []}


def test_an_entitys_outcome_joins_its_last_answer_before_the_event(tmp_path: Path) -> None:
    made = RolloutLog(tmp_path)
    evidence = of(made, plan(**LOSS))
    cursor = evidence.start()
    outputs = [{"probability": value, "decision": True} for value in (0.5, 0.25, 0.125)]
    made.answered([record(n, "challenger", entity="a", outputs=outputs[n]) for n in range(3)])
    made.append("outcomes", [outcome(1.0, entity="a", event_time=second(1.5)), outcome(1.0, entity="b")])
    cursor = (found := evidence.since(cursor)).cursor
    assert found.cursor["held"]["loss"]["canary"] == [pytest.approx(1.3863, abs=1e-4)]
    made.append("outcomes", [outcome(0.0, entity="a", event_time=second(1.7))])  # that answer has its outcome
    assert len(evidence.since(cursor).cursor["held"]["loss"]["canary"]) == 1


def test_a_unit_gives_one_value_the_mean_of_its_first_look(tmp_path: Path) -> None:
    made = RolloutLog(tmp_path)
    how = plan(sticky=True, kpi=CONVERSION)
    evidence = of(made, how)
    cursor = evidence.start()
    made.answered([record(n, "challenger", unit="ada") for n in range(3)] + [record(9, unit="bob")])
    made.append("outcomes", [outcome(n, prediction_id=f"cr{n}") for n in (0, 1)] + [outcome(1, prediction_id="cn9")])
    found = evidence.since(cursor)
    assert found.documents["kpi"] == {"canary": [-0.5], "baseline": [-1.0]}
    made.append("outcomes", [outcome(1, prediction_id="cr2")])
    for after in (evidence, of(made, how)):
        later = after.since(found.cursor)
        assert later.documents["kpi"] == {"canary": [], "baseline": []}
        assert later.cursor["held"]["kpi"] == {"canary": [], "baseline": []}


def test_an_answer_without_an_outcome_within_the_horizon_is_censored_and_counted(tmp_path: Path) -> None:
    made = RolloutLog(tmp_path)
    evidence = of(made, plan(horizon_seconds=60, **LOSS))
    cursor = evidence.start()
    made.answered([record(1), record(2, "challenger"), record(3, "challenger")])
    cursor = (found := evidence.since(cursor)).cursor
    assert found.shown["outcomes"]["canary"] == {"waiting": 2, "censored": 0}
    made.answered([record(5_000)])
    cursor = (found := evidence.since(cursor)).cursor
    expected: dict[str, Any] = {"baseline": {"waiting": 1, "censored": 1}, "canary": {"waiting": 0, "censored": 2}}
    assert found.shown["outcomes"] == expected
    made.append("outcomes", [outcome(1.0, prediction_id="cr2")])
    assert evidence.since(cursor).cursor["held"]["loss"] == {"canary": [], "baseline": []}


def test_an_outcome_that_the_log_took_after_the_horizon_does_not_count(tmp_path: Path) -> None:
    made = RolloutLog(tmp_path)
    looks = [of(made, plan(horizon_seconds=seconds, **LOSS)) for seconds in (60, 1e9)]
    cursor = looks[0].start()
    made.answered([record(1)])
    made.append("outcomes", [outcome(1.0, prediction_id="cn1")])  # the log's own clock: today
    found = [look.since(cursor) for look in looks]
    assert [len(one.cursor["held"]["loss"]["baseline"]) for one in found] == [0, 1]


def test_a_shadow_is_paired_with_the_champions_answer_to_the_same_request(tmp_path: Path) -> None:
    made = RolloutLog(tmp_path)
    evidence = of(made, plan(shadow=True, **LOSS))
    cursor = evidence.start()
    better = {"probability": 0.75, "decision": True}
    made.append("predictions", [record(n, "shadow", outputs=better, latency_ms=8.0) for n in (1, 2)])
    made.append("predictions", [record(3, "shadow", status="failed", outputs=None)])
    made.answered([record(n) for n in (1, 2, 3, 4)])
    made.append("requests", [line(5, code=503)])
    made.append("predictions", [record(5, "shadow", outputs=better)])
    found = evidence.since(cursor)
    spread = {"p50": pytest.approx(0.25), "p99": pytest.approx(0.25)}
    assert found.shown["shadow"] == {
        "predictions": {"pairs": 2, "differ": 2, "absolute": spread},
        "errors": {"requests": 4, "only_canary": 1, "only_champion": 1, "both": 0},
        "latency_ms": {"p50": 3.0, "p99": 3.0},
    }
    made.append("outcomes", [outcome(1.0, prediction_id="cn2"), outcome(1.0, prediction_id="cn4")])
    differences = evidence.since(found.cursor).documents["shadow"]["differences"]
    assert differences == [pytest.approx(-0.405465, abs=1e-6)]


def test_a_cursor_that_is_none_is_refused_with_its_place(tmp_path: Path) -> None:
    evidence = of(RolloutLog(tmp_path), plan())
    with pytest.raises(DataError, match=r"The cursor of a look is none: at.predictions: .*Give what the last look"):
        evidence.since({"start": {}, "at": {"predictions": "7"}})


def test_late_halves_are_forgotten_once_both_tables_have_gone_on(tmp_path: Path) -> None:
    made = RolloutLog(tmp_path)
    evidence = of(made, plan(**LOSS))
    cursor = evidence.start()
    made.append("predictions", [record(1)])
    far = int(timedelta(hours=1).total_seconds())
    made.answered([record(far)])
    cursor = evidence.since(cursor).cursor
    made.append("requests", [line(1)])
    made.append("outcomes", [outcome(1.0, prediction_id="cn1")])
    assert evidence.since(cursor).cursor["held"]["loss"]["baseline"] == []
