"""Whatever the order of commits, looks, restarts and compactions, each row is evidence at exactly one look."""

import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.evidence.evidence import Evidence
from flywheel.fields import read_fields
from flywheel.records import answered, join_outcomes
from flywheel.statistics import row_losses
from flywheel.storage import TABLES, TableName
from tests.deploy.evidence.rollout_log import NAME, ROLLOUT, RolloutLog, Row, line, outcome, plan, record, second

PLAN = plan(
    sticky=True,
    users=True,
    bins={"edges": [0.25, 0.5, 0.75]},
    shadow=True,
    loss={"low": 0.0, "high": 1.5},
    kpi={"kind": "conversion", "low": 0, "high": 1},
)
# A request: its arm, what the agents did at each attempt, whether the answer came through, what the shadow did, and how
# its outcome is told. Chances are multiples of 1/8, so that sums do not depend on their order.
REQUEST = st.fixed_dictionaries(
    {
        "arm": st.sampled_from(["champion", "challenger"]),
        "attempts": st.lists(st.sampled_from(["scored", "failed", "none"]), min_size=1, max_size=3),
        "passed_on": st.booleans(),
        "shadow": st.sampled_from([None, "scored", "failed"]),
        "outcome": st.sampled_from([None, "prediction_id", "entity"]),
        "chance": st.integers(1, 7),
        "truth": st.integers(0, 1),
        "again": st.booleans(),
    }
)
# Sizes of the pieces that a table's rows come in, and what happens between two commits.
BETWEEN = st.sampled_from(["nothing", "look", "look again", "restart", "compact"])


def told(number: int, request: dict[str, Any]) -> dict[TableName, list[Row]]:
    """Return the rows that one request leaves in the log."""
    arm, attempts = request["arm"], request["attempts"]
    delivered = request["passed_on"] and attempts[-1] == "scored"
    outputs = {"probability": request["chance"] / 8, "decision": True}
    shared: Row = {"entity": f"e{number}", "outputs": outputs, "unit": f"u{number}"}
    records = [
        record(number, arm, attempt=at, status=what, prediction_id=f"{number}.{at}", **shared)
        | ({"model_version": "1"} if at > 1 else {})
        for at, what in enumerate(attempts, start=1)
        if what != "none"
    ]
    if request["shadow"] and arm == "champion":
        inverse = shared | {"outputs": {"probability": 1 - request["chance"] / 8, "decision": False}}
        records.append(record(number, "shadow", status=request["shadow"], **inverse))
    lines = [line(number, arm, attempts=len(attempts), code=200 if delivered else 503, unit=f"u{number}")]
    keys = {"prediction_id": f"{number}.{len(attempts)}", "entity": f"e{number}"}
    how = request["outcome"]
    known = [outcome(request["truth"], **{how: keys[how]})] if how else []
    return {"predictions": records, "requests": lines, "outcomes": known * (1 + request["again"])}


def pieces(rows: Sequence[Row], sizes: Iterable[int]) -> list[list[Row]]:
    cut, start = [], 0
    for size in sizes:
        cut.append(list(rows[start : start + size]))
        start += size
    return [part for part in [*cut, list(rows[start:])] if part]


def sums(looks: Sequence[Any]) -> dict[str, Any]:
    """Add up what looks found, whatever they were."""
    found: dict[str, Any] = {"users": {}, "shift": {}, "values": {}, "counts": Counter[str]()}
    for side in ("canary", "baseline"):
        errors = [Counter(look.documents["users"][side]) for look in looks]
        found["users"][side] = sum(errors, Counter[str]())
        bins = [look.documents["prediction_shift"][side] for look in looks]
        found["shift"][side] = [sum(column) for column in zip(*bins, strict=True)]
        for metric in ("loss", "kpi"):
            values = [value for look in looks for value in look.documents[metric][side]]
            found["values"][metric, side] = sorted([*values, *looks[-1].cursor["held"][metric][side]])
    found["values"]["shadow"] = sorted(value for look in looks for value in look.documents["shadow"]["differences"])
    for look in looks:
        found["counts"].update(look.shown["shadow"]["errors"])
        found["counts"].update({"pairs": look.shown["shadow"]["predictions"]["pairs"]})
        found["counts"].update({side: look.shown["requests"][side]["requests"] for side in ("canary", "baseline")})
    return found


def by_definition(made: RolloutLog) -> dict[str, list[float]]:
    """Return the losses of each side by the kernel's own definition of answers and their outcomes."""
    marked = answered(made.log.predictions(NAME), made.log.requests(NAME)).filter(pl.col("arm") != "shadow")
    known = join_outcomes(marked, made.log.outcomes(NAME), second(1e6)).filter(pl.col("outcome").is_not_null())
    found = {}
    for side, arm, version in (("canary", "challenger", "2"), ("baseline", "champion", "1")):
        rows = known.filter((pl.col("arm") == arm) & (pl.col("model_version") == version))
        chance = read_fields(rows, "outputs", {"probability": "double"})["probability"].to_numpy()
        losses = row_losses("binary", rows["outcome"].to_numpy(), chance).clip(0.0, 1.5)
        found[side] = sorted(losses.tolist())
    return found


@settings(max_examples=20, deadline=None)
@given(data=st.data(), requests=st.lists(REQUEST, min_size=1, max_size=12))
def test_the_sums_of_looks_are_those_of_one_look_over_everything(data: st.DataObject, requests: list[Any]) -> None:
    everything = [told(number, request) for number, request in enumerate(requests)]
    commits: list[tuple[TableName, list[Row]]] = []
    for table in TABLES:
        rows = data.draw(st.permutations([row for one in everything for row in one[table]]))
        sizes = data.draw(st.lists(st.integers(1, 5), max_size=4))
        commits += [(table, piece) for piece in pieces(rows, sizes)]
    with tempfile.TemporaryDirectory() as folder:
        made = RolloutLog(Path(folder))
        evidence = Evidence.of(made.log, NAME, ROLLOUT, PLAN)
        start = cursor = evidence.start()
        looks = []
        for table, rows in data.draw(st.permutations(commits)):
            made.append(table, rows)
            what = data.draw(BETWEEN)
            if what == "compact":
                made.log.compact(NAME, table)
            if what == "restart":
                evidence = Evidence.of(made.log, NAME, ROLLOUT, PLAN)
            if what == "look again":  # a controller that died before it kept what it saw
                assert sums([evidence.since(cursor)]) == sums([evidence.since(cursor)])
            if what != "nothing":
                looks.append(evidence.since(cursor))
                cursor = looks[-1].cursor
        looks.append(evidence.since(cursor))
        whole = sums([Evidence.of(made.log, NAME, ROLLOUT, PLAN).since(start)])
        assert sums(looks) == whole
        for side, expected in by_definition(made).items():
            assert whole["values"]["loss", side] == expected
