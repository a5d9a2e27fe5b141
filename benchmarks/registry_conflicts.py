"""100 transitions at once by 20 people over several server workers: how many pass that the policy does not allow?"""

import random
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import sqlalchemy as sa

from benchmarks.registry_servers import Server
from flywheel import events
from flywheel.errors import IntegrityError
from flywheel.events import EventKind
from flywheel.goals import Goal, goal
from flywheel.policy import Role

STAGES = ("Staging", "Production", "Archived", "None")


def people() -> dict[str, Role]:
    """Return twenty people: ten train, six review, two operate, two only look."""
    roles = [Role.DATA_SCIENTIST] * 10 + [Role.REVIEWER] * 6 + [Role.OPERATOR] * 2 + [Role.VIEWER] * 2
    return {f"person-{number:02}": role for number, role in enumerate(roles)}


def measure(
    server: Server, engine: sa.Engine, versions: Mapping[str, str], model: str
) -> tuple[list[Goal], list[dict[str, Any]]]:
    """Ask for 100 transitions of a few versions at once, and judge each answer and each event by the policy.

    Args:
        server: With several workers.
        engine: On its database, to read the trail.
        versions: Author by version, all of `model`, all in no stage.
        model: Their name.
    """
    dice = random.Random(7)  # noqa: S311  # no secret
    roles = people()
    asked = [(dice.choice(sorted(roles)), dice.choice(sorted(versions)), dice.choice(STAGES)) for _ in range(100)]
    sessions = {user: server.session(user) for user in roles}
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda one: _ask(server, sessions[one[0]], model, *one[1:]), asked))
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        trail, head = events.read(connection), events.read_head(connection)
    illegal = [event for event in trail if _is_illegal(event, model, roles, versions)]
    passed = sum(status == 200 for status in answers)
    recorded = sum(event.kind == EventKind.TRANSITION and str(event.body.get("model")) == model for event in trail)
    odd = sum(status not in {200, 400, 403} for status in answers)
    try:
        events.verify(trail, head)
        whole = 1
    except IntegrityError:
        whole = 0
    goals = [
        goal("illegal_transitions", len(illegal) + abs(passed - recorded) + odd, "==", 0),
        goal("chain_verified", whole, "==", 1),
    ]
    return goals, [{"what": "100 transitions at once", "passed": passed, "recorded": recorded, "other answers": odd}]


def _ask(server: Server, session: Any, model: str, version: str, stage: str) -> int:
    body = {"name": model, "version": version, "stage": stage, "archive_existing_versions": False}
    return int(server.post(session, "model-versions/transition-stage", **body).status_code)


def _is_illegal(event: events.Event, model: str, roles: Mapping[str, Role], versions: Mapping[str, str]) -> bool:
    """Judge a recorded transition by the policy's words alone, not by the gate's code."""
    if event.kind != EventKind.TRANSITION or event.body.get("model") != model:
        return False
    role, author = roles[event.actor], versions[str(event.body["version"])]
    if event.body["to"] == "Production":
        return role is not Role.REVIEWER or event.actor == author
    if event.body["from"] == "Production":
        return role not in {Role.REVIEWER, Role.OPERATOR}
    return role is Role.VIEWER
