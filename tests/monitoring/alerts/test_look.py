"""What looks make of findings: every alert once, told once, and over when it is over."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flywheel.alerts import EMPTY, EVERYWHERE, RANK, Board, Finding, Severity, alert_id, fold
from flywheel.events import GENESIS, Event, EventKind, Head, chained
from flywheel.identities import MONITORING
from flywheel.monitor_spec import Alerts
from monitoring.alerts.look import changes, gravest, notice

NAME, NOON = "flights", datetime(2026, 1, 1, 12, tzinfo=UTC)
POLICY = Alerts(repeat=timedelta(days=1), quiet_looks=2)
KINDS = ("drift", "loss")


def finding(key: str = "distance", kind: str = "drift", severity: Severity = Severity.WARNING) -> Finding:
    return Finding(kind, key, severity, f"{key} moved", "2026-01-01", "e 800 against 365", "window.parquet", "nothing")


class World:
    """A use case's events and what follows from them, as `Desk` writes them."""

    def __init__(self) -> None:
        self.board, self.head, self.now = EMPTY, GENESIS, NOON
        self.told: list[dict[str, Any]] = []
        self.events: list[Event] = []

    def look(self, *findings: Finding, examined: Sequence[str] = KINDS) -> dict[str, Any] | None:
        before = self.board
        for change in changes(before, NAME, findings, examined=examined, policy=POLICY):
            self.say(change.kind, change.body)
        told = notice(before, self.board, NAME, now=self.now, policy=POLICY)
        if told is None:
            return None
        self.say(told.kind, told.body)
        self.told.append(told.body)
        return told.body

    def say(self, kind: EventKind, body: dict[str, Any], subject: str = NAME, actor: str = MONITORING) -> Event:
        event = chained(self.head, kind, subject, actor, body, self.now)
        self.head = Head(event.seq, event.hash)
        self.board = fold([event], self.board)
        self.events.append(event)
        return event

    def wait(self, **length: float) -> None:
        self.now += timedelta(**length)


def whys(body: dict[str, Any] | None) -> list[str]:
    return [] if body is None else [entry["why"] for entry in body["alerts"]]


def test_what_is_found_is_told_once_with_all_that_is_known_of_it() -> None:
    world = World()
    body = world.look(finding())
    assert body is not None
    (entry,) = body["alerts"]
    assert entry["why"] == "opened"
    assert entry | finding().body() == entry
    assert body["sentence"] == "flights: distance moved"
    assert world.look(finding()) is None
    assert list(world.board.alerts) == [alert_id(NAME, "drift", "distance")]


def test_all_that_one_look_finds_is_one_notice_the_gravest_first() -> None:
    world = World()
    body = world.look(finding(), finding("", "loss", Severity.CRITICAL))
    assert body is not None
    assert [entry["severity"] for entry in body["alerts"]] == ["critical", "warning"]
    assert body["severity"] == "critical"
    assert body["sentence"].endswith("And 1 more.")


def test_what_stays_open_is_told_again_after_the_time_for_repeats_unless_somebody_knows() -> None:
    world = World()
    world.look(finding())
    world.wait(hours=23)
    assert world.look(finding()) is None
    world.wait(hours=2)
    assert whys(world.look(finding())) == ["repeated"]
    name = alert_id(NAME, "drift", "distance")
    world.say(EventKind.ALERT_ACKNOWLEDGED, {"id": name, "because": "known"}, actor="olga")
    world.wait(days=5)
    assert world.look(finding()) is None
    assert whys(world.look(finding(severity=Severity.CRITICAL))) == ["worse"]


def test_it_is_resolved_after_as_many_quiet_looks_as_the_policy_says_and_then_told() -> None:
    world = World()
    world.look(finding())
    assert world.look() is None
    assert world.board.alerts
    assert world.look(finding()) is None  # a flicker: the same alert, and nobody is told twice
    assert world.look() is None
    assert whys(world.look()) == ["resolved"]
    assert not world.board.alerts


def test_a_look_that_could_not_have_found_it_says_nothing_of_it() -> None:
    world = World()
    world.look(finding())
    for _ in range(5):
        assert world.look(examined=("loss",)) is None
    assert world.board.alerts


def test_silence_keeps_it_open_and_tells_it_when_it_ends() -> None:
    world = World()
    until = (NOON + timedelta(hours=5)).isoformat()
    world.say(EventKind.ALERT_SILENCED, {"kind": "drift", "key": "", "until": until, "because": "a move"}, EVERYWHERE)
    assert world.look(finding()) is None
    assert whys(world.look(finding("", "loss"))) == ["opened"]
    world.wait(hours=6)
    assert whys(world.look(finding(), finding("", "loss"))) == ["opened"]


def test_a_silence_of_a_column_covers_alerts_about_nothing_else() -> None:
    world = World()
    until = (NOON + timedelta(days=5)).isoformat()
    world.say(EventKind.ALERT_SILENCED, {"kind": "columns", "key": "a", "until": until, "because": "a new sensor"})
    alone = replace(finding("a, since 2026-01-01", "columns"), columns=("a",))
    both = replace(finding("a and b", "columns"), columns=("a", "b"))
    assert world.look(alone, examined=("columns",)) is None
    body = world.look(alone, both, examined=("columns",))
    assert body is not None
    assert [entry["key"] for entry in body["alerts"]] == ["a and b"]
    assert replayed(world) == world.board
    assert world.board.alerts[alert_id(NAME, "columns", "a and b")].finding == both


def test_a_silence_can_be_ended_before_its_time() -> None:
    world = World()
    until = (NOON + timedelta(days=5)).isoformat()
    said = world.say(EventKind.ALERT_SILENCED, {"until": until, "because": "a move"})
    world.look(finding())
    world.say(EventKind.ALERT_UNSILENCED, {"id": str(said.seq), "because": "done"})
    assert whys(world.look(finding())) == ["opened"]


def test_what_was_never_told_is_not_told_to_be_over() -> None:
    world = World()
    until = (NOON + timedelta(days=5)).isoformat()
    world.say(EventKind.ALERT_SILENCED, {"until": until, "because": "a move"})
    world.look(finding())
    world.wait(days=6)
    world.look()
    assert world.look() is None
    assert not world.board.alerts


def test_what_people_closed_opens_anew_when_it_is_found_again() -> None:
    world = World()
    world.look(finding())
    world.say(
        EventKind.ALERT_CLOSED, {"id": alert_id(NAME, "drift", "distance"), "because": "on purpose"}, actor="olga"
    )
    assert not world.board.alerts
    assert whys(world.look(finding())) == ["opened"]


def test_the_gravest_of_nothing_is_none() -> None:
    assert gravest([]) is None
    assert gravest([finding(), finding(severity=Severity.INFO)]) is Severity.WARNING


steps = st.lists(
    st.tuples(
        st.lists(st.tuples(st.sampled_from(("a", "b")), st.sampled_from(KINDS), st.sampled_from(list(Severity)))),
        st.sampled_from((KINDS, ("drift",), ("loss",))),
        st.integers(0, 40),
        st.sampled_from(("", "acknowledge", "close", "silence")),
    ),
    max_size=25,
)


def replayed(world: World) -> Board:
    return fold(world.events)


@given(steps)
def test_whatever_happens_an_alert_is_told_when_new_or_worse_or_due_and_the_fold_gives_the_state_again(
    history: list[tuple[list[tuple[str, str, Severity]], tuple[str, ...], int, str]],
) -> None:
    world = World()
    last: dict[str, tuple[datetime, Severity]] = {}
    for found, examined, hours, said in history:
        world.wait(hours=hours)
        findings = [finding(key, kind, severity) for key, kind, severity in found if kind in examined]
        body = world.look(*findings, examined=examined)
        names = [entry["id"] for entry in (body or {"alerts": []})["alerts"]]
        assert len(names) == len(set(names))  # none twice in a notice
        for entry in (body or {"alerts": []})["alerts"]:
            severity, when = Severity(entry["severity"]), last.get(entry["id"])
            if entry["why"] == "opened":
                assert when is None
            elif entry["why"] == "worse":
                assert when is not None
                assert RANK[severity] > RANK[when[1]]
            elif entry["why"] == "repeated":
                assert when is not None
                assert world.now >= when[0] + POLICY.repeat
            last[entry["id"]] = (world.now, severity)
            if entry["why"] == "resolved":
                del last[entry["id"]]
        for one in findings:
            assert alert_id(NAME, one.kind, one.key) in world.board.alerts
        _say(world, said)
        last = {name: told for name, told in last.items() if name in world.board.alerts}
    assert replayed(world) == world.board


def _say(world: World, said: str) -> None:
    name = min(world.board.alerts, default=None)
    if said == "silence":
        until = (world.now + timedelta(hours=30)).isoformat()
        world.say(EventKind.ALERT_SILENCED, {"kind": "loss", "key": "", "until": until, "because": "x"})
    elif said and name is not None:
        kind = EventKind.ALERT_ACKNOWLEDGED if said == "acknowledge" else EventKind.ALERT_CLOSED
        world.say(kind, {"id": name, "because": "x"}, actor="olga")
