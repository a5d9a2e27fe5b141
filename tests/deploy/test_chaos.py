"""Real processes: a controller that is killed with -9 after each of its steps, while clients go on asking."""

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flywheel.events import EventKind
from flywheel.settings import Settings
from flywheel.stack.supervisor import program_states
from tests.deploy.conftest import wait_for
from tests.deploy.shop import Shop, open_shop

STEPS = [
    (EventKind.ROLLOUT_STARTED, None),
    (EventKind.ROLLOUT_STEP, "intent"),
    (EventKind.ROLLOUT_STEP, "done"),
]
FINAL = [(EventKind.ROLLOUT_PROMOTED, "done"), (EventKind.ROLLOUT_ROLLED_BACK, "done")]


@pytest.fixture
def shop(stack: Settings, tmp_path: Path) -> Iterator[Shop]:
    made = open_shop(stack, f"chaos-{uuid.uuid4().hex[:8]}", tmp_path / "registry")
    yield made
    made.close()


@pytest.fixture
def clients(shop: Shop) -> Iterator[Callable[[], None]]:
    """Return what starts clients that ask without a pause until the test ends."""
    done, threads = threading.Event(), list[threading.Thread]()

    def run() -> None:
        while not done.wait(0.01):
            shop.ask()

    def start() -> None:
        threads.extend(threading.Thread(target=run) for _ in range(3))
        for thread in threads:
            thread.start()

    yield start
    done.set()
    for thread in threads:
        thread.join()


def deploy_with_kills(shop: Shop, version: str) -> int:
    """Run controllers, each killed as soon as it has recorded something; return the last one's exit code."""
    code = None
    while code is None:
        code = deploy_until_the_next_step(shop, version, len(shop.rollout(version)))
    return code


def deploy_until_the_next_step(shop: Shop, version: str, known: int) -> int | None:
    """Kill a controller once there are more than `known` events; after the last one return its exit code instead."""
    process = shop.controller()
    try:
        wait_for(lambda: process.poll() is not None or len(shop.rollout(version)) > known, "a step", 40)
        ended = process.poll() is not None or shop.rollout(version)[-1] in FINAL
        return process.wait(30) if ended else None
    finally:
        process.kill()  # SIGKILL
        process.wait()


def test_a_controller_that_is_killed_after_every_step_still_promotes_and_no_request_is_lost(
    shop: Shop, clients: Callable[[], None]
) -> None:
    shop.approve("1")
    assert deploy_with_kills(shop, "1") == 0
    clients()
    shop.approve("2")
    assert deploy_with_kills(shop, "2") == 0
    assert shop.rollout("2") == [
        *STEPS,
        *STEPS[1:],
        (EventKind.ROLLOUT_PROMOTED, "intent"),
        (EventKind.ROLLOUT_PROMOTED, "done"),
    ]
    assert shop.read("stages") == {"1": "Archived", "2": "Production"}
    assert shop.read("aliases") == {"champion": "2"}
    assert shop.programs() == {f"scorer-{shop.name}-v2", f"agent-{shop.name}-v2"}
    assert set(shop.codes) == {200}
    assert shop.versions["1"] > 100
    assert shop.versions["2"] > 100


def test_a_rollback_takes_all_traffic_back_at_once_though_the_controller_is_killed_after_every_step(
    shop: Shop, clients: Callable[[], None]
) -> None:
    shop.approve("1")
    assert shop.controller().wait(60) == 0
    clients()
    shop.approve("2")
    assert shop.controller().wait(60) == 0
    shop.go_back("1", "2")
    assert deploy_with_kills(shop, "1") == 0
    promoted = [(EventKind.ROLLOUT_PROMOTED, "intent"), (EventKind.ROLLOUT_PROMOTED, "done")]
    assert shop.rollout("1") == [(EventKind.ROLLOUT_STARTED, None), *promoted] * 2
    assert shop.read("stages") == {"1": "Production", "2": "Archived"}
    assert shop.read("aliases") == {"champion": "1"}
    assert shop.programs() == {f"scorer-{shop.name}-v1", f"agent-{shop.name}-v1"}
    assert set(shop.codes) == {200}


def test_a_controller_that_is_killed_after_every_step_still_rolls_back_and_no_request_is_lost(
    shop: Shop, clients: Callable[[], None]
) -> None:
    shop.approve("1")
    assert shop.controller().wait(60) == 0
    clients()
    shop.approve("2", failing=True)
    assert deploy_with_kills(shop, "2") == 3
    back = [(EventKind.ROLLOUT_ROLLED_BACK, "intent"), (EventKind.ROLLOUT_ROLLED_BACK, "done")]
    assert shop.rollout("2") == [*STEPS, *back]
    assert shop.read("stages") == {"1": "Production", "2": "Archived"}
    assert shop.read("aliases") == {"champion": "1"}
    assert shop.programs() == {f"scorer-{shop.name}-v1", f"agent-{shop.name}-v1"}
    assert set(shop.codes) == {200}
    assert set(shop.versions) == {"1"}


def test_a_change_of_serving_yaml_rolls_through_the_agents_without_a_failed_request(
    shop: Shop, clients: Callable[[], None], serving: Path
) -> None:
    shop.approve("1")
    assert shop.controller().wait(60) == 0
    before = pids(shop)
    clients()
    serving.write_text("defaults: {replicas: 2, workers: 2, deadline_seconds: 5}")
    assert shop.controller().wait(90) == 0
    agents = {name for name in shop.programs() if name.startswith("agent-")}
    assert len(agents) == 2
    assert not before & pids(shop)
    serving.write_text("defaults: {replicas: 1, deadline_seconds: 5}")
    assert shop.controller().wait(90) == 0
    assert len({name for name in shop.programs() if name.startswith("agent-")}) == 1
    assert len(shop.programs()) == 2
    assert set(shop.codes) == {200}


def test_swap_after_swap_under_load_fails_no_request(shop: Shop, clients: Callable[[], None]) -> None:
    shop.approve("1")
    assert shop.controller().wait(60) == 0
    clients()
    for _ in range(2):
        shop.approve("2")
        assert shop.controller().wait(60) == 0
        shop.go_back("1", "2")
        assert shop.controller().wait(60) == 0
    assert shop.programs() == {f"scorer-{shop.name}-v1", f"agent-{shop.name}-v1"}
    assert set(shop.codes) == {200}
    assert shop.versions["2"] > 100


def test_serving_yaml_that_is_wrong_is_said_and_what_is_live_stays_live(shop: Shop, serving: Path) -> None:
    shop.approve("1")
    assert shop.controller().wait(60) == 0
    serving.write_text("defaults: {replicas: 4000}")
    assert shop.controller().wait(60) != 0
    assert "serving.yaml: defaults: 4000 replicas" in (shop.registry / "controller.log").read_text()
    shop.ask()
    assert set(shop.codes) == {200}


def test_the_last_version_stays_though_nothing_is_in_production_and_goes_when_it_is_undeployed(shop: Shop) -> None:
    shop.approve("1")
    assert shop.controller().wait(60) == 0
    (shop.registry / "stages.json").write_text(json.dumps({"1": "Archived"}))
    assert shop.controller().wait(60) == 0
    shop.ask()
    assert shop.programs() == {f"scorer-{shop.name}-v1", f"agent-{shop.name}-v1"}
    assert shop.command("undeploy", shop.name, "--reason", "a test").wait(60) == 0
    assert shop.programs() == set()
    shop.ask()
    assert shop.codes == {200: 1, 404: 1}


def pids(shop: Shop) -> set[int]:
    states = program_states(shop.settings)
    return {one.pid for name, one in states.items() if name.startswith(f"agent-{shop.name}") and one.pid}
