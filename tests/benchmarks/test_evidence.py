"""The benchmark of looks: its log has what it says, at a size that takes a moment."""

from pathlib import Path

from benchmarks.evidence import LAG, PLAN, ROLLOUT, USE_CASE, Log, measure
from deploy.evidence.evidence import Evidence


def test_every_request_of_its_log_is_evidence_and_its_outcome_comes_later(tmp_path: Path) -> None:
    grown = Log(tmp_path)
    evidence = Evidence.of(grown.log, USE_CASE, ROLLOUT, PLAN)
    cursor = evidence.start()
    for _ in range(3):
        grown.grow(LAG // 2)
        found = evidence.since(cursor)
        cursor = found.cursor
    assert sum(sum(counts) for counts in found.documents["prediction_shift"].values()) == LAG // 2
    assert sum(len(values) for values in found.documents["loss"].values()) == LAG // 2
    assert sum(side["waiting"] for side in found.shown["outcomes"].values()) == LAG


def test_it_measures_looks_and_a_restart(tmp_path: Path) -> None:
    found = list(measure(tmp_path, 500, 50))
    assert found[0]["what"] == "a look with 50 new requests"
    assert len(found) == 4
    assert all(float(row["ms"]) > 0 for row in found)
