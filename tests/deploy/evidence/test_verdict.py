"""From a real log to a verdict: the looks of a rollout are a file that anybody can judge again."""

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.evidence.evidence import Evidence
from deploy.verdict_file import judge_file
from tests.deploy.evidence.rollout_log import NAME, ROLLOUT, RolloutLog, line, outcome, plan, record

BOUNDS = {"low": 0.0, "high": 2.0}
METRICS = {
    "users": {"kind": "users", "part": 0.2},
    "prediction_shift": {"kind": "shift", "bins": 2},
    "loss": {"kind": "mean", "part": 0.3, "margin": 0.1, **BOUNDS},
    "shadow": {"kind": "mean", "part": 0.3, "margin": 0.1, **BOUNDS},
    "kpi": {"kind": "mean", "part": 0.2, "margin": 0.1, "low": -1.0, "high": 0.0},
}


def append(made: RolloutLog, look: int, chance: float) -> None:
    """Append 40 requests: to an even split, the champion's mirrored; of every five a 1 became true."""
    numbers = range(look * 40, look * 40 + 40)
    arms = {number: "challenger" if number % 2 else "champion" for number in numbers}
    says = {"champion": 0.8, "challenger": chance, "shadow": chance}
    rows = [*arms.items(), *((number, "shadow") for number in numbers if number % 2 == 0)]
    made.append(
        "predictions",
        [
            record(number, arm, unit=f"u{number}", outputs={"probability": says[arm], "decision": True})
            for number, arm in rows
        ],
    )
    made.append("requests", [line(number, arm, unit=f"u{number}") for number, arm in arms.items()])
    ids = {number: f"{arm[0]}{arm[-1]}{number}" for number, arm in arms.items()}
    made.append("outcomes", [outcome(float(n // 2 % 5 != 0), prediction_id=name) for n, name in ids.items()])


@pytest.mark.parametrize(("chance", "call"), [(0.2, "roll back"), (0.8, "promote")])
def test_a_challenger_that_predicts_worse_is_rolled_back_and_one_that_is_alike_promoted(
    tmp_path: Path, chance: float, call: str
) -> None:
    made = RolloutLog(tmp_path / "log")
    kpi = {"kind": "conversion", "low": 0.0, "high": 1.0}
    how = plan(sticky=True, users=True, bins={"edges": [0.5]}, loss=BOUNDS, kpi=kpi, shadow=True)
    evidence = Evidence.of(made.log, NAME, ROLLOUT, how)
    cursor, looks = evidence.start(), list[dict[str, Any]]()
    for look in range(25):
        append(made, look, chance)
        found = evidence.since(cursor)
        cursor = json.loads(json.dumps(found.cursor))
        looks.append({"step": 50, "metrics": found.documents})
    path = tmp_path / "looks.json"
    path.write_text(json.dumps({"plan": {"steps": [50], "alpha": 0.05, "metrics": METRICS}, "looks": looks}))
    judged, kept = judge_file(path)
    assert judged.call.value == call
    path.write_text(json.dumps(kept))
    assert judge_file(path)[0].call is judged.call
