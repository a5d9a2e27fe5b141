"""The losses of what is live: each answer's first outcome counts once, whatever the order, and damage is said."""

import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.evidence import lasting
from deploy.evidence.lasting import LastingLosses
from deploy.evidence.plan import Loss
from deploy.evidence.waiting import LATE
from flywheel.errors import StackError
from flywheel.fields import read_fields
from flywheel.records import answered, join_outcomes
from flywheel.statistics import row_losses
from tests.deploy.evidence.rollout_log import AT, NAME, RolloutLog, Row, line, outcome, plan, record, second

LOSS = Loss(low=0.0, high=1.5)
LONG_AFTER = second(1e6)
# A request after the promotion, or beside another rollout: which version answered, in which arm, whether the answer
# came through, how its outcome is told and how often. Chances are multiples of 1/8: sums do not depend on their order.
REQUEST = st.fixed_dictionaries(
    {
        "version": st.sampled_from(["1", "1", "2"]),
        "arm": st.sampled_from([None, None, "champion", "challenger", "shadow", "forced"]),
        "passed_on": st.sampled_from([True, True, False]),
        "outcome": st.sampled_from([None, "prediction_id", "entity"]),
        "chance": st.integers(1, 7),
        "truth": st.integers(0, 1),
        "again": st.integers(0, 2),
    }
)


def losses_of(made: RolloutLog, **changes: Any) -> LastingLosses:
    return LastingLosses(made.log, NAME, plan(horizon_seconds=86_400, **changes), AT)


def told(number: int, request: dict[str, Any]) -> tuple[Row, Row]:
    """Return the record and the line that one request leaves."""
    outputs = {"probability": request["chance"] / 8, "decision": True}
    made = {"model_version": request["version"], "arm": request["arm"], "rollout": None, "outputs": outputs}
    answer = record(number) | made | {"prediction_id": f"p{number}", "entity": f"e{number}"}
    return answer, line(number, request["arm"], code=200 if request["passed_on"] else 503)


def known(number: int, request: dict[str, Any], repeat: int) -> Row:
    """Return what was said of a request, at first the truth, and later the contrary."""
    key = {request["outcome"]: {"prediction_id": f"p{number}", "entity": f"e{number}"}[request["outcome"]]}
    at = second(1_000 + repeat)
    return outcome(abs(request["truth"] - repeat % 2), time_known=at, recorded_time=at, **key)


def by_definition(made: RolloutLog) -> list[float]:
    """Return the losses by the kernel's own definition of answers and their outcomes."""
    marked = answered(made.log.predictions(NAME), made.log.requests(NAME))
    found = join_outcomes(marked, made.log.outcomes(NAME), second(1_000)).filter(pl.col("outcome").is_not_null())
    mine = pl.col("arm").is_null() | (pl.col("arm") == "champion")
    rows = found.filter((pl.col("model_version") == "1") & mine)
    chance = read_fields(rows, "outputs", {"probability": "double"})["probability"].to_numpy()
    return sorted(row_losses("binary", rows["outcome"].to_numpy(), chance).clip(0.0, 1.5).tolist())


@settings(max_examples=15, deadline=None)
@given(data=st.data(), requests=st.lists(REQUEST, min_size=1, max_size=12))
def test_over_many_looks_each_answer_counts_once_with_what_was_first_said_of_it(
    data: st.DataObject, requests: list[Any]
) -> None:
    rows = [told(number, request) for number, request in enumerate(requests)]
    said = [known(number, request, 0) for number, request in enumerate(requests) if request["outcome"]]
    later = [
        known(number, request, repeat)
        for number, request in enumerate(requests)
        if request["outcome"]
        for repeat in range(1, request["again"] + 1)
    ]
    with tempfile.TemporaryDirectory() as folder:
        made = RolloutLog(Path(folder))
        made.append("predictions", [row for row, _ in rows])
        made.append("requests", [row for _, row in rows if row["arm"] != "shadow"])
        found, place = list[float](), 0
        first, corrected = pieces(data, said), pieces(data, later)
        for number, part in enumerate([*first, *corrected], start=1):
            made.append("outcomes", part)
            if data.draw(st.booleans()):
                made.log.compact(NAME, "outcomes")
            # Each time as after a restart: nothing is kept but the place. Of one look the last word would count.
            if number == len(first) or data.draw(st.booleans()):
                values, place = losses_of(made).after(place, LONG_AFTER, LOSS)
                found += values
        values, place = losses_of(made).after(place, LONG_AFTER, LOSS)
        assert sorted(found + values) == by_definition(made)
        assert losses_of(made).after(place, LONG_AFTER, LOSS) == ([], place)
        assert place == losses_of(made).newest()


def pieces(data: st.DataObject, rows: Sequence[Row]) -> list[list[Row]]:
    shuffled = data.draw(st.permutations(rows))
    cut = data.draw(st.integers(0, len(shuffled)))
    return [list(part) for part in (shuffled[:cut], shuffled[cut:]) if part]


def answers(made: RolloutLog, count: int, **changes: Any) -> None:
    made.answered([record(number, rollout=None, **changes) for number in range(count)])


def said(count: int, at: datetime, value: float = 1.0) -> list[Row]:
    return [outcome(value, prediction_id=f"cn{number}", recorded_time=at) for number in range(count)]


def test_without_any_outcome_there_is_nothing_to_read_and_nothing_is_found(tmp_path: Path) -> None:
    made = RolloutLog(tmp_path)
    assert losses_of(made).newest() == 0
    assert losses_of(made).after(0, LONG_AFTER, LOSS) == ([], 0)


def test_outcomes_wait_ten_minutes_for_answers_that_come_late(tmp_path: Path) -> None:
    made, now = RolloutLog(tmp_path), second(10_000)
    made.append("outcomes", said(3, now - LATE))
    made.append("outcomes", said(5, now - LATE + timedelta(seconds=1)))
    answers(made, 5)
    values, place = losses_of(made).after(0, now, LOSS)
    assert (len(values), place) == (3, 1)
    values, place = losses_of(made).after(place, now + timedelta(seconds=1), LOSS)
    assert (len(values), place) == (2, 2)  # three of the five are known already


def test_what_was_answered_before_the_version_came_or_whose_outcome_comes_after_the_horizon_does_not_count(
    tmp_path: Path,
) -> None:
    made = RolloutLog(tmp_path)
    answers(made, 4)
    late = second(3) + timedelta(days=1)
    made.append("outcomes", said(4, late))
    reader = LastingLosses(made.log, NAME, plan(horizon_seconds=86_400), second(2))
    assert len(reader.after(0, LONG_AFTER, LOSS)[0]) == 1  # the fourth: of the third the horizon is over
    assert len(losses_of(made).after(0, LONG_AFTER, LOSS)[0]) == 1


def test_users_count_once_a_look_where_the_split_is_sticky(tmp_path: Path) -> None:
    made = RolloutLog(tmp_path)
    made.answered([record(number, rollout=None, unit=f"u{number % 2}") for number in range(6)])
    made.append("outcomes", said(6, second(100)))
    assert len(losses_of(made, sticky=True).after(0, LONG_AFTER, LOSS)[0]) == 2
    assert len(losses_of(made).after(0, LONG_AFTER, LOSS)[0]) == 6


def test_of_a_flood_of_outcomes_a_part_is_drawn_and_the_rest_never_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lasting, "MOST", 100)
    made = RolloutLog(tmp_path)
    answers(made, 400)
    made.append("outcomes", said(400, second(1_000)))
    values, place = losses_of(made).after(0, LONG_AFTER, LOSS)
    assert 60 < len(values) < 140
    made.append("outcomes", said(90, second(1_001), value=0.0))
    assert losses_of(made).after(place, LONG_AFTER, LOSS) == ([], 2)


def test_an_entitys_outcome_is_of_its_last_answer_whoever_gave_it(tmp_path: Path) -> None:
    made = RolloutLog(tmp_path)
    mine = record(1, rollout=None, entity="ada") | {"arm": None}
    theirs = record(2, "challenger", rollout="shop-3", entity="ada")
    made.append("predictions", [mine, theirs])
    made.append("requests", [line(1, None), line(2, "challenger")])
    made.append("outcomes", [outcome(1.0, entity="ada", event_time=second(3), recorded_time=second(3))])
    assert losses_of(made).after(0, LONG_AFTER, LOSS) == ([], 1)
    made.append("outcomes", [outcome(1.0, entity="ada", event_time=second(1.5), recorded_time=second(4))])
    assert len(losses_of(made).after(1, LONG_AFTER, LOSS)[0]) == 1


@pytest.mark.parametrize("table", ["predictions", "requests", "outcomes"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_table_is_said_in_one_sentence(tmp_path: Path, table: str, damage: str) -> None:
    made = RolloutLog(tmp_path)
    answers(made, 3)
    made.append("outcomes", said(3, second(100)))
    for path in (tmp_path / NAME / table).glob("*.parquet"):
        path.write_bytes(b"PAR1 and no more")
        if damage == "gone":
            path.unlink()
    with pytest.raises(StackError, match=f"{NAME}.* cannot be read: ") as fault:
        losses_of(made).after(0, LONG_AFTER, LOSS)
    assert "\n" not in str(fault.value)


def test_a_table_without_its_own_log_of_commits_is_said_too(tmp_path: Path) -> None:
    made = RolloutLog(tmp_path)
    made.append("outcomes", said(3, second(100)))
    for path in (tmp_path / NAME / "outcomes" / "_delta_log").glob("*.json"):
        path.write_bytes(b"{")
    with pytest.raises(StackError, match=f"{NAME}.* cannot be read"):
        LastingLosses(type(made.log)(tmp_path), NAME, plan(), AT).newest()
