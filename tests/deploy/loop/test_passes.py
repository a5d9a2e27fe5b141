"""What a controller tells of its passes, with the real rollout of a simulated world behind it."""

from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from deploy.loop.controller import Controller
from deploy.loop.journal import Journal
from deploy.loop.passes import Passes, WatchedController, WatchedLedger
from deploy.loop.progress import Progress
from flywheel.errors import TransientError
from flywheel.textfile import Textfile, TextfileCollector
from tests.deploy.simulated import SimulatedLedger, SimulatedRegistry, SimulatedTarget, World


def told(home: Path, name: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(TextfileCollector(home))
    return registry.get_sample_value(name, labels)


def test_passes_and_decisions_are_told_over_the_lives_of_several_controllers(tmp_path: Path) -> None:
    world, passes = World(), 0
    world.approve("1")
    settled = False
    while not settled:
        counts = Passes(Textfile(tmp_path, "controller"))  # each pass by a controller of its own, as after a crash
        ledger, registry, target = SimulatedLedger(world), SimulatedRegistry(world), SimulatedTarget(world)
        watched = WatchedLedger(ledger, counts)
        one = WatchedController(
            Controller(watched, registry, target, Journal(tmp_path / "j"), lambda: world.now), counts
        )
        world.now += timedelta(seconds=1)
        settled = all(progress.settled for progress in one.tick())
        passes += 1
        assert passes < 60
    assert told(tmp_path, "flywheel_controller_passes_total", result="done") == passes > 2
    assert told(tmp_path, "flywheel_controller_decisions_total", event="rollout.started") == 1
    assert told(tmp_path, "flywheel_controller_decisions_total", event="rollout.promoted") == 1
    assert told(tmp_path, "flywheel_controller_decisions_total", event="rollout.held") is None
    assert (told(tmp_path, "flywheel_controller_last_pass_timestamp_seconds") or 0) > 1.7e9


def test_a_pass_that_fails_is_told_before_its_fault_goes_on(tmp_path: Path) -> None:
    class Failing:
        def tick(self) -> list[Progress]:
            raise TransientError("MLflow does not answer.")

    times = iter([10.0, 12.5])
    watched = WatchedController(Failing(), Passes(Textfile(tmp_path, "controller")), lambda: next(times))
    with pytest.raises(TransientError):
        watched.tick()
    assert told(tmp_path, "flywheel_controller_passes_total", result="failed") == 1
    assert told(tmp_path, "flywheel_controller_last_pass_seconds") == 2.5
