"""The fold of champions: reigns follow each other, and the last good one is found."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from flywheel.events import GENESIS, Event, EventKind, chained
from registry.history.champions import (
    Good,
    Move,
    Reign,
    Unfit,
    by_alias,
    by_production,
    decided,
    last_good,
)

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seq: int) -> datetime:
    return START + timedelta(minutes=seq)


def aliases(*versions: str | None) -> list[Move]:
    return [Move(seq, at(seq), version) for seq, version in enumerate(versions, 1)]


def transition(seq: int, version: str, to: str, actor: str = "grace", **more: object) -> Event:
    body = {"model": "m", "version": version, "to": to, "digest": "sha256:1", **more}
    made = chained(GENESIS, EventKind.TRANSITION, f"m/{version}", actor, body, at(seq))
    return Event(seq, made.kind, made.subject, made.actor, made.at, made.body, made.previous, made.hash)


def test_each_champion_reigns_until_the_next() -> None:
    found = by_alias(aliases("1", "2", "2", "1"))
    assert found == [Reign("1", at(1), at(2), 1), Reign("2", at(2), at(4), 2), Reign("1", at(4), None, 4)]


def test_a_removed_alias_leaves_a_gap() -> None:
    found = by_alias(aliases("1", None, "1"))
    assert found == [Reign("1", at(1), at(2), 1), Reign("1", at(3), None, 3)]
    assert by_alias(aliases(None)) == []


def test_without_an_alias_the_newest_number_in_production_is_champion() -> None:
    moves = [("9", "Production"), ("10", "Production"), ("10", "Archived"), ("9", "Archived")]
    found = by_production([Move(seq, at(seq), version, to) for seq, (version, to) in enumerate(moves, 1)])
    assert [(reign.version, reign.seq) for reign in found] == [("9", 1), ("10", 2), ("9", 3)]
    assert found[-1].until == at(4)


@given(st.lists(st.sampled_from(["1", "2", "3", None]), max_size=12))
def test_reigns_never_overlap_and_only_the_last_may_go_on(versions: list[str | None]) -> None:
    found = by_alias(aliases(*versions))
    for reign, later in pairwise(found):
        assert reign.until is not None
        assert reign.since < reign.until <= later.since
    going_on = found[-1].version if found and found[-1].until is None else None
    assert going_on == (versions[-1] if versions else None)


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["Production", "Archived", "Staging"])), max_size=15))
def test_the_newest_in_production_is_what_a_plain_count_finds(moves: list[tuple[int, str]]) -> None:
    found = by_production([Move(seq, at(seq), str(number), to) for seq, (number, to) in enumerate(moves, 1)])
    last = dict(moves)
    there = [number for number, stage in last.items() if stage == "Production"]
    reigning = found[-1].version if found and found[-1].until is None else None
    assert reigning == (str(max(there)) if there else None)


def test_the_decision_behind_a_reign_is_the_last_one_before_it() -> None:
    moves = [
        transition(1, "1", "Production", "grace"),
        transition(3, "1", "Archived", "svc-controller"),
        transition(5, "1", "Production", "olga", rollback=True, reason="it misses flights"),
    ]
    first, second = decided(Reign("1", at(2), at(4), 2), moves), decided(Reign("1", at(6), None, 6), moves)
    assert first.decision is not None
    assert second.decision is not None
    assert (first.decision.by, first.decision.rollback) == ("grace", False)
    assert (second.decision.by, second.decision.rollback, second.decision.reason) == ("olga", True, "it misses flights")
    assert decided(Reign("1", at(0), None, 0), moves).decision is None


def test_the_last_good_version_is_the_latest_other_champion_that_can_be_gone_back_to() -> None:
    reigns = by_alias(aliases("1", "2", "3", "2", "3"))
    judged: dict[str, Good | Unfit] = {"1": Good("1", "sha256:1"), "2": Unfit("2", "failed")}
    assert last_good(reigns, "3", lambda version: judged[version]) == judged["1"]
    assert last_good(reigns, "3", lambda version: Unfit(version, "x")) == [Unfit("2", "x"), Unfit("1", "x")]
    assert last_good(reigns[:1], "1", lambda version: judged[version]) == []
