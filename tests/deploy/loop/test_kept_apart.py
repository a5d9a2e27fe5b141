"""A use case whose record cannot be read is kept apart: its traffic stays, and all others go on."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.desired import Served
from deploy.loop import dry_run
from deploy.loop.fold import histories
from deploy.loop.interfaces import Readiness
from deploy.loop.journal import Journal
from deploy.loop.progress import Progress, UnfinishedError
from deploy.loop.rollout import Phase
from flywheel.errors import IntegrityError, TransientError, UsageError
from flywheel.events import EventKind
from flywheel.settings import Settings
from tests.deploy.loop.test_emergency import canary, without_postgres
from tests.deploy.simulated import FLIGHTS, SimulatedRegistry, SimulatedTarget, World, controller, live, run

RAIN = Served("rain", "1", "sha256:rain")


def damage(world: World, usecase: str) -> None:
    """Record a rollout that no release can read."""
    body: dict[str, Any] = {
        "rollout": f"{usecase}-v9",
        "version": "9",
        "digest": "d",
        "champion": None,
        "plan": {"spec": {"steps": []}},
    }
    world.append(EventKind.ROLLOUT_STARTED, f"{usecase}/9", "svc-controller", body)


def of(progress: list[Progress], usecase: str) -> Progress:
    return next(one for one in progress if one.usecase == usecase)


def test_one_damaged_record_stops_no_other_use_case(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    damage(world, RAIN.usecase)
    world.approve("2")
    world.running[RAIN] = Readiness.READY
    one = controller(world, tmp_path)
    progress = one.tick()
    for _ in range(60):
        world.traffic(1000)
        progress = one.tick()
    assert world.aliases == {"champion": "2"}
    assert {served.subject for served in world.running} == {f"{FLIGHTS}/2", "rain/1"}
    apart = of(progress, RAIN.usecase)
    assert (apart.damaged, apart.settled) == (True, True)
    assert apart.reason.startswith("Event 5 (rollout.started of rain/9) is none that this release can read")
    assert "Traffic of rain stays as it is" in apart.reason
    assert not of(progress, FLIGHTS).damaged


def test_traffic_and_copies_of_what_is_kept_apart_stay_as_they_are(tmp_path: Path) -> None:
    world = canary(tmp_path)
    events, routed, running = len(world.events), world.routed, dict(world.running)
    damage(world, FLIGHTS)
    run(world, tmp_path, ticks=20, requests=1000, errors=500)
    world.archive("2", "grace")
    [progress] = controller(world, tmp_path).tick()
    assert progress.damaged
    assert (world.routed, world.running) == (routed, running)
    assert len(world.events) == events + 2
    assert Journal(tmp_path).open_ones() != {}
    assert without_postgres(world, tmp_path, errors=500)[0].startswith(f"{FLIGHTS}: traffic goes back to version 1.")


def test_a_restart_of_the_stack_restores_all_others(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    damage(world, RAIN.usecase)
    world.running.clear()
    one = controller(world, tmp_path)
    progress = [one.restore() for _ in range(5)][-1]
    assert [(found.usecase, found.damaged) for found in progress] == [(FLIGHTS, False), (RAIN.usecase, True)]
    assert set(world.running) == {Served(FLIGHTS, "1", world.digests["1"])}


def test_only_the_use_case_that_was_asked_for_is_told_of(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    damage(world, RAIN.usecase)
    one = controller(world, tmp_path)
    one.only = FLIGHTS
    assert [found.usecase for found in one.tick()] == [FLIGHTS]


def test_a_dry_run_says_what_it_knows_of_the_others_and_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = live(World(), tmp_path)
    damage(world, "boats")
    monkeypatch.setattr(dry_run, "read_trail", lambda _: world.events)
    monkeypatch.setattr(dry_run, "mlflow_registry", lambda _: SimulatedRegistry(world))
    monkeypatch.setattr(dry_run, "local_target", lambda _: SimulatedTarget(world))
    monkeypatch.setattr(dry_run, "log_observatory", lambda _: None)
    lines = dry_run.dry_run(Settings(home=tmp_path), None)
    said = [next(lines), next(lines)]
    with pytest.raises(IntegrityError, match="What would be done about boats is not known"):
        next(lines)
    assert said[0].startswith("boats: Event 5 (rollout.started of boats/9)")
    assert said[1] == f"{FLIGHTS}: version 1 is live; nothing to do."


def test_a_dry_run_says_which_version_waits_for_its_approval_and_knows_no_other_use_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = live(World(), tmp_path)
    world.stages["2"] = "Staging"
    monkeypatch.setattr(dry_run, "read_trail", lambda _: world.events)
    monkeypatch.setattr(dry_run, "mlflow_registry", lambda _: SimulatedRegistry(world))
    monkeypatch.setattr(dry_run, "local_target", lambda _: SimulatedTarget(world))
    monkeypatch.setattr(dry_run, "log_observatory", lambda _: None)
    assert list(dry_run.dry_run(Settings(home=tmp_path), FLIGHTS)) == [
        f"{FLIGHTS}: version 1 is live; nothing to do.",
        f"  version 2 waits for its approval; `flywheel standing {FLIGHTS} 2` says what it lacks.",
    ]
    world.stages["2"] = "Archived"
    assert len(list(dry_run.dry_run(Settings(home=tmp_path), FLIGHTS))) == 1
    with pytest.raises(UsageError, match="Use case 'nope' has no approved version"):
        list(dry_run.dry_run(Settings(home=tmp_path), "nope"))


def test_a_policy_that_cannot_be_read_starts_nothing_and_is_said(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.append(EventKind.POLICY_ADOPTED, "policy", "grace", {"document": {"rollouts": {"alpha": "much"}}})
    world.approve("2")
    [progress] = controller(world, tmp_path).tick()
    assert progress.damaged
    assert "policy in force (event 5)" in progress.reason
    assert histories(world.events)[FLIGHTS].current is None


def test_a_broken_chain_still_stops_everything(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.events[1] = replace(world.events[1], actor="mallory")
    with pytest.raises(IntegrityError, match="audit trail is broken"):
        controller(world, tmp_path).tick()


def test_without_postgres_one_damaged_journal_keeps_no_other_from_going_back(tmp_path: Path) -> None:
    world = canary(tmp_path)
    journal = Journal(tmp_path)
    journal.begin("a-first-one", {"old": {}, "new": {}, "plan": {}, "step": 0, "since": "yesterday"})
    (tmp_path / "a-first-one.jsonl").write_text(json.dumps({"step": 0, "look": {}, "counters": {}}) + "\n")
    said = without_postgres(world, tmp_path, errors=50)
    assert said[0].startswith("The journal of a-first-one cannot be read")
    assert any(one.startswith(f"{FLIGHTS}: traffic goes back to version 1.") for one in said)


def test_a_look_that_another_release_wrote_ends_the_looks_and_no_tick(tmp_path: Path) -> None:
    world = canary(tmp_path)
    [name] = Journal(tmp_path).open_ones()
    lines = (tmp_path / f"{name}.jsonl").read_text().splitlines()
    other = json.loads(lines[-1])
    other["look"]["metrics"] = {"of tomorrow": {"canary": 1}}
    (tmp_path / f"{name}.jsonl").write_text("\n".join([*lines[:-1], json.dumps(other)]) + "\n")
    run(world, tmp_path, errors=50)
    assert histories(world.events)[FLIGHTS].rollouts[-1].phase is Phase.ROLLED_BACK


def test_what_one_use_case_waits_for_hides_nothing_of_the_others(tmp_path: Path) -> None:
    world = canary(tmp_path)
    digest = "sha256:1"
    world.append(
        EventKind.TRANSITION, "rain/1", "grace", {"model": "rain", "version": "1", "to": "Production", "digest": digest}
    )

    class Halting(SimulatedRegistry):
        def stages(self, usecase: str, versions: Iterable[str]) -> dict[str, str]:
            if usecase == RAIN.usecase:
                raise TransientError("MLflow is restarting.")
            return super().stages(usecase, versions)

    one = replace(controller(world, tmp_path), registry=Halting(world))
    with pytest.raises(UnfinishedError, match="MLflow is restarting") as unfinished:
        one.tick()
    assert [(found.usecase, found.challenger) for found in unfinished.value.progress] == [(FLIGHTS, "2")]
