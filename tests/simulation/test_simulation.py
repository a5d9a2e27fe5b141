"""Histories of controller and gate: every promise holds, everything is reached, and a broken controller is found."""

from collections import Counter
from collections.abc import Callable

import pytest

from deploy.desired import Served
from deploy.loop.controller import Controller
from deploy.loop.decision import Action, Decision
from deploy.loop.rollout import Rollout
from tests.simulation.history import played

HISTORIES = 150
# What a run of so many histories must have reached, else it shows little.
REACHED = (
    *(f"ended {end}" for end in ("done", "start", "superseded", "verdict", "withdrawn", "health")),
    *(f"event rollout.{kind}" for kind in ("held", "baked", "paused", "resumed", "allowed", "undeployed", "promoted")),
    *("people went back", "verdict replayed", "leader overtaken", "stale append refused", "kill -9", "version died"),
    *("gate refused", "freeze", "Envoy restarted", "clock jumped", "disk torn", "disk refused", "journal lost"),
    *("postgres did not answer", "registry did not answer", "gateway did not answer", "postgres's answer was lost"),
)
# Of a version that is as good as the champion; alpha is 0.05 a rollout, and this many histories have hundreds.
FALSE_VERDICTS = 5


def test_every_promise_holds_in_every_history_and_all_that_can_happen_did() -> None:
    seen = Counter[str]()
    for seed in range(1, HISTORIES + 1):
        world, broken = played(seed)
        assert broken is None, f"python -m tests.simulation --seed {seed}: {broken}"
        seen += world.seen
    assert [what for what in REACHED if not seen[what]] == []
    assert seen["verdict on an equal one"] <= FALSE_VERDICTS < seen["verdict on a worse one"]


def test_a_seed_is_one_history() -> None:
    first, second = (played(5)[0] for _ in range(2))
    assert first.said == second.said
    assert [event.hash for event in first.events] == [event.hash for event in second.events]
    assert first.said != played(6)[0].said


def aliases_are_forgotten(one: Controller) -> None:
    one.registry.set_alias = lambda usecase, alias, version: None  # type: ignore[method-assign]


def the_champion_is_not_kept(one: Controller) -> None:
    retire = one.target.retire

    def without_the_oldest(keep: set[Served], apart: frozenset[str] = frozenset()) -> bool:
        oldest = min(keep, key=lambda served: int(served.version), default=None)
        return retire({one for one in keep if one != oldest}, apart)

    one.target.retire = without_the_oldest  # type: ignore[method-assign]


def every_version_is_silent(one: Controller) -> None:
    one._eyes._silent_seconds = lambda rollout, served, healthy, now: 1000.0  # type: ignore[method-assign]


def nothing_is_confirmed(one: Controller) -> None:
    act = one._act

    def waits(history: object, rollout: Rollout, decision: Decision) -> None:
        act(history, rollout, Decision(Action.WAIT, "") if decision.action is Action.CONFIRM else decision)  # type: ignore[arg-type]

    one._act = waits  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "change", [aliases_are_forgotten, the_champion_is_not_kept, every_version_is_silent, nothing_is_confirmed]
)
def test_a_broken_controller_is_found(change: Callable[[Controller], None]) -> None:
    assert any(played(seed, change)[1] is not None for seed in range(1, 30))
