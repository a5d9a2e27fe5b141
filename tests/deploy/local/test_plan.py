"""How workers and agents change: whatever happens, some complete set of agents answers until another does."""

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from deploy.desired import Served
from deploy.local import plan
from deploy.local.places import Agent, Form, Place, Role, Worker
from flywheel.serving import Resources

SERVED = Served("flights", "3", "sha256:d")


def free() -> plan.FreePort:
    ports = count(4001)
    return lambda taken: next(port for port in ports if port not in taken)


def serving(place: Place) -> list[str]:
    return [one.spec for one in place.agents if one.role is Role.SERVING]


def test_the_first_agents_are_coming_until_all_of_them_answer() -> None:
    place = plan.with_agents(Place(SERVED), "a", 2, free())
    assert len(place.backend.replicas) == 2
    assert serving(plan.promoted(place, "a", {1})) == []
    assert serving(plan.promoted(place, "a", {1, 2})) == ["a", "a"]


def test_old_agents_serve_until_every_new_one_answers_and_then_leave() -> None:
    ports = free()
    old = plan.promoted(plan.with_agents(Place(SERVED), "a", 2, ports), "a", {1, 2})
    mixed = plan.with_agents(old, "b", 2, ports)
    assert mixed.backend == old.backend
    assert plan.promoted(mixed, "b", {1, 2, 3}).backend == old.backend
    after = plan.promoted(mixed, "b", {1, 2, 3, 4})
    assert serving(after) == ["b", "b"]
    assert {one.number for one in after.agents if one.role is Role.LEAVING} == {1, 2}


def test_a_number_is_given_again_only_when_its_agent_is_gone() -> None:
    ports = free()
    place = plan.promoted(plan.with_agents(Place(SERVED), "a", 1, ports), "a", {1})
    place = plan.with_agents(place, "b", 1, ports)
    assert [one.number for one in place.agents] == [1, 2]


def test_fewer_replicas_leave_with_the_highest_numbers() -> None:
    ports = free()
    place = plan.promoted(plan.with_agents(Place(SERVED), "a", 3, ports), "a", {1, 2, 3})
    place = plan.with_agents(place, "a", 1, ports)
    assert [(one.number, one.role) for one in place.agents] == [(1, "serving"), (2, "leaving"), (3, "leaving")]


def test_workers_go_only_when_no_agent_may_speak_to_them() -> None:
    agents = (Agent(1, 5001, 5002, "a", Role.SERVING), Agent(2, 5003, 5004, "b", Role.LEAVING))
    place = Place(SERVED, (Worker(1, 4001), Worker(2, 4002)), agents)
    assert len(plan.without_surplus(place, 0, Form()).workers) == 2
    alone = Place(SERVED, place.workers, agents[:1])
    assert plan.without_surplus(alone, 0, Form()).workers == ()
    assert plan.with_workers(alone, 3, Form(), free()).workers[2].number == 3


def test_workers_of_another_environment_come_beside_the_old_ones_and_take_their_place() -> None:
    old, new = Form(), Form("digest", Resources(nice=5))
    place = plan.with_workers(Place(SERVED), 2, old, free())
    both = plan.with_workers(place, 2, new, lambda taken: max(taken) + 1)
    assert [(one.number, one.form) for one in both.workers] == [(1, old), (2, old), (3, new), (4, new)]
    assert len(both.ports) == 4
    assert [one.number for one in plan.without_surplus(both, 2, new).workers] == [3, 4]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 4), st.sets(st.integers(1, 12))), min_size=1))
def test_once_something_serves_something_serves_for_ever_and_no_port_is_given_twice(
    steps: list[tuple[str, int, set[int]]],
) -> None:
    ports, place = free(), Place(SERVED)
    place = plan.promoted(plan.with_agents(place, "z", 2, ports), "z", {1, 2})
    for spec, replicas, answering in steps:
        place = plan.promoted(plan.with_agents(place, spec, replicas, ports), spec, answering)
        assert serving(place)
        assert len(set(serving(place))) == 1
        assert len(place.ports) == 2 * len(place.agents)
        assert len({one.number for one in place.agents}) == len(place.agents)
    settled = plan.promoted(place, spec, {one.number for one in place.agents})
    assert serving(settled) == [spec] * replicas
