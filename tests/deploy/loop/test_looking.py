"""Looks at a rollout: what was counted since the last one, and when the next one is due."""

import json
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from deploy.loop.looking import difference, read_counters, written
from deploy.shares import ArmCounts

ARMS = ("champion", "challenger", "challenger-2")
BOUND = 0.1


@dataclass
class Gateway:
    """Counts requests, errors and slow ones of each arm, and forgets them when it is started anew."""

    life: int = 0
    counters: dict[str, list[int]] = field(default_factory=lambda: {arm: [0, 0, 0] for arm in ARMS})
    unseen: dict[str, list[int]] = field(default_factory=lambda: {arm: [0, 0, 0] for arm in ARMS})

    def serve(self, arm: str, counts: tuple[int, int, int]) -> None:
        for kept in (self.counters[arm], self.unseen[arm]):
            kept[:] = [before + more for before, more in zip(kept, counts, strict=True)]

    def start_anew(self) -> None:
        self.life += 1
        for kept in (*self.counters.values(), *self.unseen.values()):
            kept[:] = [0, 0, 0]

    def counts(self) -> dict[str, ArmCounts]:
        return {arm: counted(one, f"life {self.life}") for arm, one in self.counters.items()}


def counted(one: list[int], life: str = "") -> ArmCounts:
    requests, errors, slow = one
    return ArmCounts(requests, errors, {BOUND: slow}, life)


requests = st.integers(0, 300).flatmap(
    lambda many: st.tuples(st.just(many), st.integers(0, many), st.integers(0, many))
)
served = st.tuples(st.sampled_from(ARMS), requests)


@given(st.lists(st.one_of(served, st.sampled_from(["look", "start anew"])), max_size=60))
def test_a_look_holds_what_each_arm_was_counted_for_since_the_last_one_or_since_the_gateway_began(
    happened: list[str | tuple[str, tuple[int, int, int]]],
) -> None:
    gateway, before = Gateway(), dict[str, ArmCounts]()
    for one in [*happened, "look"]:
        if one == "start anew":
            gateway.start_anew()
        elif isinstance(one, tuple):
            gateway.serve(*one)
        else:
            now = gateway.counts()
            expected = {arm: counted(unseen) for arm, unseen in gateway.unseen.items()}
            assert difference(now, before) == expected
            before = read_counters(json.loads(json.dumps({arm: written(found) for arm, found in now.items()})))
            for unseen in gateway.unseen.values():
                unseen[:] = [0, 0, 0]


def test_an_arm_that_went_back_alone_began_anew_and_the_others_go_on() -> None:
    before = {"champion": ArmCounts(900, 9, epoch="a"), "challenger": ArmCounts(100, 5, epoch="a")}
    now = {"champion": ArmCounts(1000, 10, epoch="a"), "challenger": ArmCounts(10, 1, epoch="a")}
    assert difference(now, before) == {"champion": ArmCounts(100, 1), "challenger": ArmCounts(10, 1)}


def test_counters_that_an_earlier_release_recorded_go_on() -> None:
    told = {"champion": {"requests": 900, "errors": 9, "slow": {}}}
    assert difference({"champion": ArmCounts(1000, 10, epoch="a")}, read_counters(told)) == {
        "champion": ArmCounts(100, 1)
    }
