"""What is told of columns without values: one alert a trouble, told once; a second one is told when it comes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from flywheel.alerts import Finding, Severity
from flywheel.events import EventKind
from monitoring.look.columns import of_columns, of_missing, past, told_before
from monitoring.look.outages import Outage
from monitoring.rows.question import Asked
from monitoring.skew.completeness import Jump
from tests.monitoring.alerts.test_look import NAME, World

FIRST, DAY = datetime(2013, 12, 31), timedelta(days=1)
ASKED = Asked(Path("/rain/usecase.yaml"), FIRST + 30 * DAY)
WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib")


def outage(column: str, first: int = 0, days: int = 1, *, lasts: bool = True) -> Outage:
    return Outage(column, "vanished", FIRST + first * DAY, FIRST + (first + days) * DAY, 900, lasts)


@dataclass
class Looks:
    """A use case that is looked at again and again."""

    world: World = field(default_factory=World)

    def look(self, *found: Outage, recent: datetime = FIRST - 30 * DAY) -> list[str]:
        """Look; return what people are told has opened."""
        self.world.wait(days=1)
        standing = self.world.board.of(NAME)
        told = told_before(self.world.events)
        findings = list(of_columns(found, standing, told, recent=recent, asked=ASKED))
        body = self.world.look(*findings, examined=("columns",)) or {"alerts": []}
        return [entry["key"] for entry in body["alerts"] if entry["why"] == "opened"]

    @property
    def open(self) -> list[Finding]:
        return [alert.finding for alert in self.world.board.of(NAME)]


def test_eight_columns_of_one_day_are_one_critical_alert_that_names_three_and_counts_the_rest() -> None:
    looks = Looks()
    assert looks.look(*map(outage, WEATHER)) == ["dewp, humid, precip and 5 more"]
    (found,) = looks.open
    assert found.severity is Severity.CRITICAL
    assert found.what == (
        "Columns 'dewp', 'humid', 'precip' and 5 more have no value in any row since 2013-12-31: see whether the source"
        " still writes it."
    )
    assert set(found.columns) == set(WEATHER)
    assert found.look_at == (
        "flywheel rows /rain/usecase.yaml --start 2013-12-31 --end 2014-01-01 --column dewp --column humid --column"
        " precip --missing"
    )
    assert looks.look(*(outage(name, days=2) for name in WEATHER)) == []
    assert [one.columns for one in looks.open] == [found.columns]


def test_columns_that_come_back_leave_the_alert_and_the_last_one_ends_it() -> None:
    looks = Looks()
    looks.look(*map(outage, WEATHER))
    assert looks.look(outage("temp", days=2), *(outage(name, lasts=False) for name in WEATHER[1:])) == []
    (found,) = looks.open
    assert found.columns == ("temp",)
    for _ in range(3):
        assert looks.look(*(outage(name, days=2, lasts=False) for name in WEATHER)) == []
    assert looks.open == []


def test_a_column_that_vanishes_later_is_told() -> None:
    looks = Looks()
    looks.look(outage("a"), outage("b"))
    assert looks.look(outage("a", days=2), outage("b", days=2), outage("c", first=1)) == ["c"]
    assert [one.columns for one in looks.open] == [("a", "b"), ("c",)]


def test_columns_that_vanish_anew_while_an_alert_of_their_name_is_open_are_told() -> None:
    looks = Looks()
    looks.look(*(outage(name) for name in "abcd"))
    looks.look(outage("d", days=2), *(outage(name, lasts=False) for name in "abc"))
    again = [outage(name, first=3) for name in "abce"]
    assert looks.look(outage("d", days=5), *again) == ["since 2014-01-03T00:00:00: a, b, c and 1 more"]


def test_what_was_over_before_the_first_look_is_told_if_recent_and_counted_if_not() -> None:
    looks, over = Looks(), outage("a", days=2, lasts=False)
    assert looks.look(over, recent=FIRST) == ["a"]
    assert looks.open[0].severity is Severity.WARNING
    assert looks.open[0].what.endswith("from 2013-12-31 to 2014-01-02; it is over.")
    for _ in range(4):
        assert looks.look(over, recent=FIRST) == []
    assert looks.open == []
    assert Looks().look(over, recent=FIRST + DAY) == []
    assert past([over], FIRST + DAY) == [over]
    assert past([over], FIRST) == []
    assert past([outage("a")], FIRST + DAY) == []  # it lasts


def test_what_people_closed_opens_anew_while_it_lasts_and_not_when_it_is_over() -> None:
    looks = Looks()
    looks.look(outage("a"))
    looks.world.say(EventKind.ALERT_CLOSED, {"id": next(iter(looks.world.board.alerts)), "because": "x"}, actor="olga")
    assert looks.look(outage("a", days=2, lasts=False)) == []
    assert looks.look(outage("a", days=4)) == ["a"]


history = st.lists(st.lists(st.sampled_from("abcdef"), unique=True), min_size=1, max_size=10)


def runs(gone: Sequence[Sequence[str]]) -> list[Outage]:
    """The outages at a look after days on which columns had no value."""
    found = []
    for column in "abcdef":
        began = None
        for day, names in enumerate([*gone, ()]):
            if column in names:
                began = day if began is None else began
            elif began is not None:
                found.append(outage(column, began, day - began, lasts=day == len(gone)))
                began = None
    return found


@given(history, st.randoms(use_true_random=False))
def test_every_outage_is_told_once_and_the_order_of_columns_changes_nothing(
    gone: list[list[str]], random: Random
) -> None:
    looks, mixed = Looks(), Looks()
    for day in range(1, len(gone) + 1):
        found = runs(gone[:day])
        before = {name for one in looks.open for name in one.columns}
        shuffled = list(found)
        random.shuffle(shuffled)
        opened = looks.look(*found)
        assert mixed.look(*shuffled) == opened
        assert mixed.open == looks.open
        new = {one.columns for one in looks.open if one.key in opened}
        # Told now: what vanished today, unless its alert is still open; columns of one day together.
        assert set().union(*map(set, new)) == set(gone[day - 1]) - before
        assert len(new) <= 1
        assert looks.look(*found) == []  # a look repeated opens nothing
        mixed.look(*shuffled)
        covered = [name for one in looks.open for name in one.columns]
        assert len(covered) == len(set(covered))
        assert set(gone[day - 1]) <= set(covered)


def jump(column: str, share: float, day: int = 0) -> Jump:
    return Jump(column, date(2013, 4, 1) + timedelta(days=day), 1, share, 0.01, 0.1, f"'{column}' is missing.")


def test_columns_that_miss_more_together_are_one_finding_without_those_that_are_gone() -> None:
    (found,) = of_missing([jump("a", 0.5), jump("b", 0.9), jump("c", 1.0)], {"c"}, (), asked=ASKED)
    assert found.columns == ("a", "b")
    assert found.what == "'b' is missing. So with 1 more: a and b."
    assert list(of_missing([jump("c", 1.0)], {"c"}, (), asked=ASKED)) == []


@given(st.dictionaries(st.sampled_from("abcdef"), st.tuples(st.floats(0.2, 1), st.integers(0, 5)), max_size=6))
def test_missing_columns_that_a_sliding_window_dates_anew_stay_in_their_alerts(
    found: Mapping[str, tuple[float, int]],
) -> None:
    world = World()
    jumps = [jump(name, share, day) for name, (share, day) in found.items()]
    world.look(*of_missing(jumps, (), (), asked=ASKED), examined=("missing",))
    opened = dict(world.board.alerts)
    assert len(opened) == len({day for _, day in found.values()})
    later = [jump(name, share, 6) for name, (share, _) in reversed(list(found.items()))]
    assert world.look(*of_missing(later, (), world.board.of(NAME), asked=ASKED), examined=("missing",)) is None
    assert set(world.board.alerts) == set(opened)
