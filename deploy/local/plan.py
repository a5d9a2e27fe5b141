"""What becomes of a version's workers and agents, given what serving.yaml asks: pure, one step at a call.

A change rolls: agents with the new settings are started beside the old ones, all of them must answer, then they take
the old ones' place at the gateway, and only when that is confirmed are the old ones stopped. So at every moment some
complete set of agents answers, and no request meets a closed door.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from deploy.local.places import Agent, Form, Place, Role, Worker

# Gives a port that is free and not among these.
FreePort = Callable[[set[int]], int]


def with_workers(place: Place, count: int, form: Form, free: FreePort) -> Place:
    """Return the place with at least `count` workers of this form; others stay until no agent may need them."""
    while len(current_workers(place, form)) < count:
        worker = Worker(_unused(one.number for one in place.workers), free(place.ports), form)
        place = replace(place, workers=(*place.workers, worker))
    return place


def without_surplus(place: Place, count: int, form: Form) -> Place:
    """Return the place with `count` workers, once no agent is coming or leaving: those may speak to the others."""
    if any(one.role is not Role.SERVING for one in place.agents):
        return place
    return replace(place, workers=current_workers(place, form)[:count])


def current_workers(place: Place, form: Form) -> tuple[Worker, ...]:
    """Return the workers of this form."""
    return tuple(one for one in place.workers if one.form == form)


def with_agents(place: Place, spec: str, count: int, free: FreePort) -> Place:
    """Return the place with `count` agents of this spec, coming or serving; coming ones out of date leave."""
    coming = {one.number for one in place.agents if one.role is Role.COMING and one.spec != spec}
    place = _with_role(place, coming, Role.LEAVING)
    fresh = current(place, spec)
    for _ in range(count - len(fresh)):
        http = free(place.ports)
        grpc = free({*place.ports, http})
        agent = Agent(_unused(one.number for one in place.agents), http, grpc, spec, Role.COMING)
        place = replace(place, agents=(*place.agents, agent))
    surplus = sorted(fresh, key=lambda one: (one.role is Role.SERVING, -one.number))[: max(len(fresh) - count, 0)]
    return _with_role(place, {one.number for one in surplus}, Role.LEAVING)


def promoted(place: Place, spec: str, answering: set[int]) -> Place:
    """Let the agents of this spec serve once all of them answer; those of another spec then leave.

    Args:
        place: With as many agents of the spec as are wanted.
        spec: Digest of what agents should have been started with.
        answering: Numbers of the agents that answer now.
    """
    fresh = current(place, spec)
    if not fresh or any(one.role is Role.COMING and one.number not in answering for one in fresh):
        return place
    place = _with_role(place, {one.number for one in fresh}, Role.SERVING)
    return _with_role(place, {one.number for one in place.agents if one.spec != spec}, Role.LEAVING)


def current(place: Place, spec: str) -> list[Agent]:
    """Return the agents of this spec that are not leaving."""
    return [one for one in place.agents if one.spec == spec and one.role is not Role.LEAVING]


def _with_role(place: Place, numbers: set[int], role: Role) -> Place:
    agents = tuple(replace(one, role=role) if one.number in numbers else one for one in place.agents)
    return replace(place, agents=agents)


def _unused(numbers: Iterable[int]) -> int:
    taken = set(numbers)
    return next(number for number in range(1, len(taken) + 2) if number not in taken)
