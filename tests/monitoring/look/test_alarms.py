"""What is told of drift: what holds or is recent, each stream once, what is missing together as one."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from flywheel.alerts import Finding
from flywheel.events import EventKind
from flywheel.monitor_spec import Drift
from monitoring.drift.decision import DriftDecision, Verdict
from monitoring.drift.moved import Moved
from monitoring.drift.shares import Share
from monitoring.drift.streams import Kind, Stream
from monitoring.drift.watch import Look
from monitoring.look.alarms import closed_before, earlier, of_drift, standing_drift, unanswered
from monitoring.look.outages import Outage
from monitoring.rows.question import Asked
from tests.monitoring.alerts.test_look import NAME, World

FIRST, DAY = datetime(2013, 4, 1), timedelta(days=1)
ASKED = Asked(Path("usecase.yaml"), FIRST + 300 * DAY)


def moved(column: str, day: int, *, level: float = 0.0, effect: float = 0.8, kind: Kind = Kind.MEAN) -> Moved:
    return Moved(Stream(kind, column), FIRST + (day - 1) * DAY, 0.5, 9.0, level, effect, 0.1)


def share(column: str, value: str) -> Moved:
    stream = Stream(Kind.SHARE, column, detail=value, share=Share(0.5, odds=True))
    return Moved(stream, FIRST + 4 * DAY, 0.5, 9.0, 0.0, 0.8, 0.1)


def decision(*alarms: tuple[int, list[Moved]]) -> DriftDecision:
    looks = tuple(Look(FIRST + day * DAY, 900, 5_000.0, alarm=True, moved=tuple(named)) for day, named in alarms)
    return DriftDecision(Verdict.DRIFT, "", Drift(), 255.0, looks)


def told(found: DriftDecision, recent: int, world: World | None = None) -> list[Finding]:
    standing = (world or World()).board.of(NAME)
    return list(of_drift(found, "1", standing, recent=FIRST + recent * DAY, asked=ASKED))


def test_an_old_shift_that_holds_is_told_and_one_that_went_back_is_counted() -> None:
    stays, goes = (5, [moved("a", 5), moved("b", 5)]), (60, [moved("b", 60, level=0.8, effect=-0.8)])
    found = decision(stays, goes)
    assert [one.key for one in told(found, 200)] == ["a mean (version 1)"]
    gone = Outage("c", "vanished", FIRST, FIRST + DAY, 900, lasts=False)
    said = "1 change that began before 2013-10-18 is over: no alert, and all on the record."
    assert earlier([found], (), FIRST + 200 * DAY) == said
    assert earlier([found], [gone], FIRST + 200 * DAY).startswith("2 changes that began before 2013-10-18 are over")
    assert earlier([decision(stays)], (), FIRST + 200 * DAY) == ""


def test_a_recent_alarm_is_told_though_its_stream_went_back_and_the_newest_one_counts() -> None:
    found = decision((5, [moved("b", 5)]), (60, [moved("b", 60, level=0.8, effect=-0.8)]))
    (one,) = told(found, 59)
    assert one.since == (FIRST + 59 * DAY).isoformat()
    assert "moved by -0.80 sd" in one.what


def test_the_values_of_one_column_are_one_alert() -> None:
    shares = [share("label", "true"), share("label", "false"), share("carrier", "UA")]
    label, carrier = told(decision((5, shares)), 0)
    assert (label.key, carrier.key) == ("label share (version 1)", "carrier share (version 1)")
    assert label.what.startswith("'true' in 'label' went from 50.00% to ")
    assert "; 'false' in 'label' went from" in label.what
    assert "--having label=true --version 1" in label.look_at


@pytest.mark.parametrize("count", [1, 3, 8])
def test_columns_that_miss_more_since_one_block_are_one_alert_however_many(count: int) -> None:
    names = [f"c{number}" for number in range(count)]
    found = decision((5, [moved("a", 5), *(moved(name, 5, kind=Kind.SPREAD) for name in names)]))
    assert len(told(found, 0)) == min(count + 1, 5)
    missing = decision((5, [moved("a", 5), *(moved(name, 5, kind=Kind.MISSING) for name in names)]))
    one, other = told(missing, 0)
    assert one.key == "a mean (version 1)"
    assert other.columns == tuple(names)
    assert other.key.endswith("missing (version 1)")


def test_an_alarm_that_is_judged_again_with_fewer_columns_stays_its_alert_and_stands_for_its_version() -> None:
    world = World()
    world.look(*told(decision((5, [moved(name, 5, kind=Kind.MISSING) for name in "abcd"])), 0))
    again = told(decision((6, [moved(name, 6, kind=Kind.MISSING) for name in "bc"])), 0, world)
    assert world.look(*again) is None
    (alert,) = world.board.of(NAME)
    assert alert.finding.columns == ("b", "c")
    assert standing_drift(world.board.of(NAME), ["1", "2"]) == [alert.finding]
    assert standing_drift(world.board.of(NAME), ["2"]) == []


def test_drift_that_people_closed_opens_anew_only_for_another_change() -> None:
    world, alarm = World(), decision((40, [moved("a", 40)]))
    world.look(*told(alarm, 0))
    (name,) = world.board.alerts
    world.say(EventKind.ALERT_CLOSED, {"id": name, "because": "on purpose"}, actor="olga")

    def found(day: int) -> list[Finding]:
        again = told(decision((day, [moved("a", day)])), 0)
        return unanswered(again, NAME, closed_before(world.events), DAY)

    assert found(40) == found(42) == found(38) == []  # late rows moved it by a day or two
    assert [one.key for one in found(69)] == ["a mean (version 1)"]
    assert unanswered(told(alarm, 0), NAME, {}, DAY) == told(alarm, 0)
