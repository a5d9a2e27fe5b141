"""Which process dies next: each kind has its share, also one that must wait for its turn."""

from collections import Counter
from typing import cast

from tests.chaos.kills import WEIGHTS, Killer
from tests.deploy.shop import Shop


class Drawn(Killer):
    """Draws as a killer does, and kills nothing; kinds in `busy` may not die now."""

    def __init__(self) -> None:
        super().__init__(cast("Shop", None), seed=7)
        self.busy, self.drawn = set[str](), Counter[str]()

    def _kill(self, kind: str) -> bool:
        self.drawn[kind] += kind not in self.busy
        return kind not in self.busy

    def _start_controller(self) -> bool:
        return self._kill("controller")


def test_each_kind_has_its_share() -> None:
    killer = Drawn()
    for _ in range(10 * sum(WEIGHTS.values())):
        assert killer.kill_one()
    assert all(abs(killer.drawn[kind] - 10 * weight) <= weight for kind, weight in WEIGHTS.items())


def test_what_may_not_die_now_dies_as_soon_as_it_may() -> None:
    killer = Drawn()
    killer.busy = {"scorer"}
    for _ in range(3 * sum(WEIGHTS.values())):
        killer.kill_one()
    assert killer.drawn["scorer"] == 0
    killer.busy = {kind for kind in WEIGHTS if kind != "scorer"}
    assert killer.kill_one()
    assert killer.drawn["scorer"] == 1


def test_where_nothing_may_die_nothing_does() -> None:
    killer = Drawn()
    killer.busy = set(WEIGHTS)
    assert not killer.kill_one()
    assert not killer.drawn.total()
