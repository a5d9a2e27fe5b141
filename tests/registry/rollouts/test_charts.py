"""What a rollout's pictures show, against the events that they are made of; and drawings by themselves."""

import itertools
import math
import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.loop.plans import References, make_plan
from flywheel.events import Event, EventKind
from flywheel.rollout_spec import Rollout as Way
from registry.rollouts.charts import charts, shares, span, traffic
from registry.rollouts.drawing import SIZE, Axis, path, powers, rounds, stairs
from registry.rollouts.evidence import evidence, verdict
from registry.rollouts.metric_view import interval
from registry.rollouts.plan import read_plan
from registry.rollouts.record import Phase, Record, records
from registry.rollouts.turns import marks, turns
from registry.rollouts.view import build
from registry.rollouts.wording import guards
from tests.registry.rollouts.worlds import chain

FINITE = st.floats(-1e6, 1e6, allow_nan=False)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A rollout that people paused, let go on and promoted, and that went live."""
    return records(chain(tmp_path_factory.mktemp("good")))[-1]


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A rollout that was rolled back for its errors."""
    return records(chain(tmp_path_factory.mktemp("bad"), rate=0.03, seed=3))[-1]


def numbers(drawn: str) -> list[float]:
    return [float(one) for one in re.findall(r"-?\d+\.?\d*", drawn)]


def test_the_traffic_changes_when_the_gateway_confirmed_it_and_ends_at_all_of_it(good: Record) -> None:
    done = [one for one in good.moments if one.event.body.get("state") == "done"]
    changes = shares(good)
    assert [percent for _, percent, _ in changes][1:-1] == [0, 1, 5, 25, 50, 100]
    assert {at for at, _, _ in changes[1:]} == {one.event.at for one in done}
    drawn = traffic(good, good.moments[-1].event.at)
    assert "100 % from" in drawn.told
    assert len(drawn.shadows) == 1
    assert all(0 <= one <= SIZE for one in numbers(drawn.edge))


def test_a_rollback_takes_the_traffic_away(bad: Record) -> None:
    assert shares(bad)[-1][1:] == (0, Phase.ROLLED_BACK)


def test_every_look_of_a_decided_step_stands_in_the_evidence(good: Record) -> None:
    looks = {one.step_before: len(one.event.body["looks"]) for one in good.moments if one.event.body.get("looks")}
    for metric in evidence(good):
        drawn = {one.step: len(one.seconds) for one in metric.stretches}
        judged = [step for step in looks if metric.name in good.plan.part(step)["metrics"]]
        assert judged
        assert drawn == {step: min(looks[step], 200) for step in judged}
        assert metric.said == verdict(good)["metrics"][metric.name]
    assert [one.name for one in evidence(good)] == ["errors", "latency", "loss"]  # as the use case lists them


def test_what_rolled_it_back_stands_at_or_over_its_boundary(bad: Record) -> None:
    (errors,) = [one for one in evidence(bad) if one.name == "errors"]
    last = errors.stretches[-1].values
    assert errors.said["worse"]
    assert last["found"][-1] is not None
    assert last["boundary"][-1] is not None
    assert last["found"][-1] >= last["boundary"][-1]
    assert all(
        found < boundary
        for found, boundary in zip(last["found"][:-1], last["boundary"][:-1], strict=True)
        if found is not None and boundary is not None
    )
    titles = [one.title for one in charts(bad, errors)]
    assert titles == ["Evidence", "Bad ones in the new version"]


def test_the_expected_count_is_the_new_versions_share_and_begins_anew_in_traffic(good: Record) -> None:
    (errors,) = [one for one in evidence(good) if one.name == "errors"]
    shadow, first, *_ = errors.stretches
    assert (shadow.share, shadow.anew, first.share, first.anew) == (0.5, True, 0.01, True)
    assert not any(one.anew for one in errors.stretches[2:])
    counts = list(charts(good, errors))[1]
    last = errors.stretches[-1].values
    expected = float(re.findall(r"([\d.]+) expected", counts.told)[0])
    before = [one.values["of"][-1] or 0.0 for one in errors.stretches]
    by_hand = sum(
        (after - start) * one.share
        for start, after, one in zip([0.0, *before[1:-1]], before[1:], errors.stretches[1:], strict=True)
    )
    assert expected == pytest.approx(by_hand, abs=0.06)
    assert last["found"][-1] == float(re.findall(r"([\d.]+) seen", counts.told)[0])


def test_each_line_has_its_threshold_and_its_name(good: Record) -> None:
    for metric in evidence(good):
        for chart in charts(good, metric):
            assert all(line.label and line.path.startswith("M") for line in chart.lines)
            assert all(-0.01 <= one <= SIZE for line in chart.lines for one in numbers(line.path))
            assert sum("threshold" in line.role for line in chart.lines) >= 1
            assert 2 <= len(chart.levels) <= 6
            shadow = [] if metric.name == "latency" else ["shadow"]
            assert [stop.label for stop in chart.stops] == [*shadow, "1 %", "5 %", "25 %", "50 %"]


def test_old_events_without_curves_give_a_point_a_step(good: Record) -> None:
    plain = records(_without_trace(good))[-1]
    for metric in evidence(plain):
        assert all(len(one.seconds) == 1 for one in metric.stretches)
        assert list(charts(plain, metric))


def _without_trace(record: Record) -> list[Event]:
    found = []
    for moment in record.moments:
        one = moment.event
        body = {key: value for key, value in one.body.items() if key != "trace"}
        found.append(Event(one.seq, one.kind, one.subject, one.actor, one.at, body, one.previous, one.hash))
    return found


def test_an_intent_and_its_confirmation_are_one_turn_and_people_stand_by_name(good: Record) -> None:
    found = turns(good)
    assert [one.number for one in found] == list(range(1, len(found) + 1))
    confirmed = [one for one in found if one.confirmed is not None]
    done = [
        one
        for one in good.moments
        if one.event.body.get("state") == "done" and one.event.kind != EventKind.ROLLOUT_BAKED
    ]
    assert len(confirmed) == len(done)
    assert all(one.confirmed and one.confirmed > 0 for one in confirmed)
    assert not any(one.waits for one in found)
    assert next(one.more for one in found if one.who == "olga").startswith("ada asks")
    placed = marks(good, found, good.moments[-1].event.at)
    assert [turn for mark in placed for turn in mark.turns] == found
    assert all(after.place - before.place >= 5 for before, after in itertools.pairwise(placed))


def test_an_intent_without_confirmation_waits(bad: Record) -> None:
    going = records([one.event for one in bad.moments[:-1]])[-1]
    last = turns(going)[-1]
    assert (last.waits, last.confirmed) == (True, None)
    assert going.phase is Phase.ROLLING_BACK


def test_the_plan_is_told_in_words(good: Record) -> None:
    view = build(good, good.moments[-1].event.at)
    told = dict(view.plan)
    assert told["Way"] == "shadow → 1 % → 5 % → 25 % → 50 % → 100 %"
    assert told["People"] == "100 %: somebody must let it go there."
    assert told["Bake"] == "The version before stays warm for 2 min after the last step."
    assert told["Alpha"].startswith("0.05: ")
    parts = {one.name: one.parts for one in view.guards}
    assert parts == {
        "Errors": "shadow 0.0086, traffic 0.024",
        "Latency": "traffic 0.012",
        "Loss": "shadow 0.0014, traffic 0.004",
    }


def test_limits_are_told_in_words_without_keys_of_the_plan(good: Record) -> None:
    told = {one.name: one.limits for one in guards(good.plan)}
    assert "1.5 times the champion's rate, or 0.25 percentage points above it" in told["Errors"]
    assert told["Latency"].startswith("Requests that take over 100 ms, and over 250 ms. They may come up to 3 times")
    assert told["Loss"].startswith("How much higher its mean is than the champion's, each value being 0 to 1.")


def test_every_metric_of_every_plan_is_told_in_words_and_not_in_keys() -> None:
    way = Way(unit="user", guard=("errors", "latency", "prediction_shift", "loss"))
    shift, loss = (
        {"kind": "shift", "bins": 10},
        {"kind": "mean", "low": -1.0, "high": 2.5, "margin": 0.02, "opens": False},
    )
    known = References(latency=(0.003, 1.2), metrics={"prediction_shift": shift, "loss": loss})
    body = {"plan": make_plan(way, 0.05, known).to_json()}
    found = {one.name: one.limits for one in guards(read_plan(body))}
    assert set(found) == {"Errors", "Latency", "Loss", "Shift of predictions", "Errors by user", "Outage"}
    for name, told in found.items():
        assert told.endswith("."), name
        for key in ("pace", "spending", "holds", "opens yes", "opens no,", "bins", "block", ",,", "look by look"):
            assert key not in told, (name, told)
    assert "over 3 ms, and over 1.2 s" in found["Latency"]
    assert "that 10 % more do" in found["Outage"]


def test_an_end_of_an_interval_that_is_not_known_is_said_in_words() -> None:
    said = [interval(*ends) for ends in ((0.0, None), (1.2, None), (None, None), (None, 3.0), (0.0, 2.0))]
    known = ["no bound yet", "at least 1.2, and no upper bound yet", "no bound yet"]
    assert said == [*known, "at most 3, and no lower bound yet", "0 to 2"]


def test_a_first_version_is_judged_by_nothing_and_still_has_a_page(tmp_path: Path) -> None:
    first = records(chain(tmp_path, seconds=20, way=Way(bake=timedelta(0))))[0]
    view = build(first, first.moments[-1].event.at)
    assert view.title == ("Live", "good")
    assert all(not one.charts for one in view.metrics)


@given(low=FINITE, high=FINITE, value=FINITE)
def test_an_axis_places_everything_within_and_in_order(low: float, high: float, value: float) -> None:
    axis = Axis(min(low, high), max(low, high))
    assert 0 <= axis.place(value) <= SIZE
    assert axis.place(axis.low) <= axis.place(value) or axis.low >= axis.high
    assert axis.percent(value) == pytest.approx(100 - axis.percent(value, upwards=True), abs=0.02)


@given(low=st.floats(-9, 3), more=st.floats(0.1, 300))
def test_levels_of_bets_are_few_powers_within_the_axis(low: float, more: float) -> None:
    found = powers(low, low + more)
    assert len(found) <= 6
    assert all(low - 1e-9 <= math.log10(one) <= low + more + 1e-9 for one in found)


@given(st.floats(0.01, 1e9))
def test_levels_of_counts_are_round_and_few(high: float) -> None:
    found = rounds(high)
    assert 2 <= len(found) <= 6
    assert found[0] == 0
    assert found[-1] <= high * (1 + 1e-9)


@given(st.lists(FINITE, min_size=1, max_size=9))
def test_stairs_stay_as_they_are_until_they_jump(heights: list[float]) -> None:
    points = [(float(number), height) for number, height in enumerate(heights)]
    corners = stairs(points, float(len(heights)))
    assert [y for _, y in corners[::2]] == [y for _, y in corners[1::2]] == heights
    assert [x for x, _ in corners[2::2]] == [x for x, _ in corners[1:-1:2]]
    assert path([corners], Axis(0, len(heights)), Axis(-1e6, 1e6)).count("L") == 2 * len(heights) - 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.6, "1 min"), (61, "1 min 1 s"), (3600, "1 h"), (90_061, "1 d 1 h"), (7261, "2 h 1 min")],
)
def test_a_span_is_written_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert span(seconds) == words
