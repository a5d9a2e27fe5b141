"""Experiments in the loop, against simulated parts: how they start, are judged, and end."""

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from deploy.experiments.documents import judge_experiment
from deploy.loop.emergency import Emergency
from deploy.loop.experiment_looks import ExperimentLooks
from deploy.loop.experimenting import stop
from deploy.loop.eyes import Eyes
from deploy.loop.fold import histories
from deploy.loop.journal import Journal
from deploy.loop.progress import Progress
from deploy.loop.reconcile import Pace, run_until_settled
from deploy.loop.rollout import Phase, Rollout
from deploy.loop.view import describe, picture
from deploy.verdict_file import judge_file
from flywheel.errors import UsageError
from flywheel.events import Event, EventKind
from flywheel.policy import Policy, RolloutPolicy
from flywheel.rollbacks import Cause, failure
from flywheel.rollout_spec import Rollout as RolloutSpec
from tests.deploy.simulated import (
    FLIGHTS,
    PLAIN,
    Crash,
    SimulatedLedger,
    SimulatedTarget,
    World,
    controller,
    live,
    prepared,
    run,
)


def begun(world: World, folder: Path, **changes: Any) -> World:
    """Let two approved versions stand beside a champion, and an experiment with them begin."""
    live(world, folder)
    world.approve("2")
    world.approve("3")
    prepared(world, **changes).record(SimulatedLedger(world))
    return world


def last(world: World) -> Rollout:
    return histories(world.events)[FLIGHTS].rollouts[-1]


def go_on(world: World, folder: Path, *, ticks: int = 60, requests: int = 1000) -> Progress:
    progress = run(world, folder, ticks=ticks, requests=requests, seconds=30)
    assert progress is not None
    return progress


def event(world: World, kind: EventKind) -> Event:
    """Return the intent of a kind, of the last rollout."""
    return next(one for one in reversed(world.events) if one.kind == kind and one.body.get("state") == "intent")


def test_the_traffic_is_split_between_all_arms_and_stays_so(tmp_path: Path) -> None:
    world = begun(World(), tmp_path)
    progress = go_on(world, tmp_path, requests=10)
    assert world.routed is not None
    assert {arm: one.version for arm, one in world.routed.arms.items()} == {
        "champion": "1",
        "challenger": "2",
        "challenger-2": "3",
    }
    assert [one.percent for one in world.routed.challengers] == [30, 20]
    assert world.routed.rollout == "flights-delay-experiment-1"
    assert (progress.phase, progress.challenger, progress.others, progress.percent) == (Phase.CANARY, "2", ("3",), 50)
    assert "500 that are the least" in progress.reason


@pytest.mark.parametrize("winner", ["2", "3"])
def test_the_winner_takes_all_traffic_and_the_others_are_archived(tmp_path: Path, winner: str) -> None:
    world = begun(World(rates={winner: 0.2}), tmp_path)
    go_on(world, tmp_path, ticks=200)
    assert world.aliases == {"champion": winner}
    assert world.stages == {"1": "Archived", "2": "Archived", "3": "Archived"} | {winner: "Production"}
    assert {one.version for one in world.running} == {winner}
    rollout = last(world)
    assert (rollout.phase, rollout.new.version, rollout.failed) == (Phase.DONE, winner, None)
    assert event(world, EventKind.ROLLOUT_PROMOTED).subject == f"{FLIGHTS}/{winner}"


def test_who_wins_must_have_shown_as_well_that_it_does_not_fail(tmp_path: Path) -> None:
    world = begun(World(rates={"3": 0.2}), tmp_path)
    go_on(world, tmp_path, ticks=5, requests=20)
    world.units = {"champion": (5e6, 5e5), "challenger": (3e6, 3e5), "challenger-2": (2e6, 4e5)}
    progress = go_on(world, tmp_path, ticks=20, requests=20)
    assert "challenger-2 gains" in progress.reason
    assert "But errors challenger-2: more evidence is needed." in progress.reason
    world.shares.clear()
    go_on(world, tmp_path, ticks=100, requests=2000)
    assert world.aliases == {"champion": "3"}


def test_the_old_champion_stays_warm_while_a_winner_bakes_and_goes_after_it(tmp_path: Path) -> None:
    way = RolloutSpec(steps=(10,), **{**PLAIN, "bake": timedelta(minutes=5)})
    world = begun(World(rates={"3": 0.2}, spec=way), tmp_path)
    go_on(world, tmp_path, ticks=200)
    assert last(world).phase is Phase.BAKING
    assert world.stages == {"1": "Production", "2": "Archived", "3": "Production"}
    assert {one.version for one in world.running} == {"1", "3"}
    world.now += timedelta(minutes=6)
    go_on(world, tmp_path)
    assert (last(world).phase, world.stages["1"]) == (Phase.DONE, "Archived")


def test_a_winner_knows_what_it_did_in_traffic_so_that_it_can_be_watched(tmp_path: Path) -> None:
    world = begun(World(rates={"3": 0.2}, faults={"1": 3, "3": 1}), tmp_path)
    go_on(world, tmp_path, ticks=200)
    known = last(world).reference["errors"]
    assert known["requests"] > 100
    assert known["bad"] * 200 == known["requests"]


def test_a_challenger_that_fails_ends_the_experiment_and_alone_never_starts_again(tmp_path: Path) -> None:
    world = begun(World(faults={"3": 30}), tmp_path)
    progress = go_on(world, tmp_path)
    assert progress.reason.startswith("Version 2 was rolled back: errors challenger-2: ")
    assert world.aliases == {"champion": "1"}
    assert world.stages == {"1": "Production", "2": "Archived", "3": "Archived"}
    rollout = last(world)
    assert (rollout.cause, rollout.failed) == (Cause.VERDICT, rollout.named("3"))
    assert failure(world.events, f"{FLIGHTS}/3") is not None
    assert failure(world.events, f"{FLIGHTS}/2") is None


def test_an_arm_that_violates_a_guardrail_ends_the_experiment_and_alone_counts_as_failed(tmp_path: Path) -> None:
    guardrails = {"latency_ms": {"measure": {"kind": "latency"}, "margin": 2.0}}
    world = begun(World(rates={"2": 0.11}), tmp_path, guardrails=guardrails)

    def measure(plan: Mapping[str, Any], as_of: datetime) -> dict[str, Any]:
        look = world.look(plan, as_of)
        for arm, body in look["arms"].items():
            count, mean = body["units"] // 2, 60.0 if arm == "challenger-2" else 50.0
            body["metrics"]["latency_ms"] = [{"count": count, "mean": mean, "squares": 25.0 * count}] * 2
        return look

    one = replace(controller(world, tmp_path), measure=measure)
    for _ in range(60):
        world.now += timedelta(seconds=30)
        one.tick()
        world.traffic(1000)
    rollout = last(world)
    assert (rollout.cause, rollout.failed) == (Cause.VERDICT, rollout.named("3"))
    assert "Stop challenger-2: latency_ms is worse by" in rollout.reason
    assert world.aliases == {"champion": "1"}


def test_flywheel_deploy_does_not_wait_for_an_experiment_that_is_in_traffic(tmp_path: Path) -> None:
    world = begun(World(), tmp_path)
    one = controller(world, tmp_path)

    def clock() -> float:
        return world.now.timestamp()

    def sleep(seconds: float) -> None:
        world.now += timedelta(seconds=seconds)

    result = run_until_settled(one, Pace(clock, sleep), 60, lambda progress: None)
    assert (result.exit_code, result.progress[0].phase) == (0, Phase.CANARY)
    assert world.routed is not None
    assert world.routed.percent == 50


def test_people_are_told_of_all_its_versions(tmp_path: Path) -> None:
    world = begun(World(), tmp_path)
    progress = go_on(world, tmp_path, requests=10)
    assert describe(progress).startswith("flights-delay: versions 2, 3 canary, 50 % of traffic")
    table = Console(width=200, file=io.StringIO())
    table.print(picture([progress]))
    assert isinstance(table.file, io.StringIO)
    assert "2, 3" in table.file.getvalue()
    said = histories(world.events)[FLIGHTS].sentence(last(world).named("3"))
    assert said == "version 1 is live; an experiment with 2, 3 is canary and would go on."


def test_without_a_gain_all_traffic_goes_back_and_no_version_is_a_failure(tmp_path: Path) -> None:
    world = begun(World(rates={"1": 0.2, "2": 0.1, "3": 0.1}), tmp_path)
    go_on(world, tmp_path, ticks=200)
    assert (last(world).cause, last(world).failed) == (Cause.NO_WINNER, None)
    assert world.aliases == {"champion": "1"}
    assert histories(world.events)[FLIGHTS].failed == set()


def test_the_record_of_the_end_is_judged_to_the_same_by_the_tools_for_either(tmp_path: Path) -> None:
    world = begun(World(rates={"3": 0.2}), tmp_path)
    go_on(world, tmp_path, ticks=200)
    started = next(one for one in reversed(world.events) if one.kind == EventKind.ROLLOUT_STARTED)
    promoted = event(world, EventKind.ROLLOUT_PROMOTED)
    plan, measured = started.body["plan"], promoted.body["experiment"]
    judged = judge_experiment(plan["experiment"], measured["looks"])
    assert judged == measured["judgement"]
    assert (judged["call"], judged["arm"], judged["reason"]) == ("promote", "challenger-2", promoted.body["reason"])
    file = tmp_path / "record.json"
    file.write_text(json.dumps({"plan": plan["verdicts"]["traffic"], "looks": promoted.body["looks"]}))
    assert judge_file(file)[1]["verdict"] == promoted.body["verdict"]


def test_alpha_of_the_guards_is_split_over_the_arms(tmp_path: Path) -> None:
    world = begun(World(), tmp_path)
    plan = last(world).plan.traffic
    assert plan is not None
    parts = {name: getattr(one, "part", None) for name, one in plan.metrics.items()}
    assert parts == {"errors challenger": 0.5, "errors challenger-2": 0.5}


def test_units_that_are_not_split_as_planned_hold_it_for_good_though_later_looks_are_even(tmp_path: Path) -> None:
    world = begun(World(rates={"3": 0.2}), tmp_path)
    go_on(world, tmp_path, ticks=5, requests=0)
    world.units = {"champion": (50_000.0, 5000.0), "challenger": (20_000.0, 2000.0), "challenger-2": (30_000.0, 6000.0)}
    progress = go_on(world, tmp_path)
    assert progress.phase is Phase.HELD
    assert "not assigned by the planned shares" in progress.reason
    assert f"`flywheel experiment stop {FLIGHTS}` ends it" in progress.reason
    world.units = {"champion": (5e6, 5e5), "challenger": (3e6, 3e5), "challenger-2": (2e6, 4e5)}
    for file in tmp_path.iterdir():
        file.unlink()
    world.append(EventKind.ROLLOUT_ALLOWED, f"{FLIGHTS}/2", "olga", {"rollout": last(world).name, "reason": "go on"})
    progress = go_on(world, tmp_path, requests=0)
    assert "not assigned by the planned shares" in progress.reason
    assert last(world).phase is Phase.HELD


def test_it_holds_when_its_time_is_up_and_goes_on_looking_when_people_let_it(tmp_path: Path) -> None:
    world = begun(World(), tmp_path, maximum_days=1)
    go_on(world, tmp_path, ticks=20)
    world.now += timedelta(days=1)
    progress = go_on(world, tmp_path, requests=1)
    assert progress.phase is Phase.HELD
    assert "1 days have passed without a conclusion" in progress.reason
    world.append(EventKind.ROLLOUT_ALLOWED, f"{FLIGHTS}/2", "olga", {"rollout": last(world).name, "reason": "go on"})
    go_on(world, tmp_path)
    assert last(world).phase is Phase.HELD  # people do not say who has won
    world.units = {arm: (came, came * (0.3 if arm == "challenger" else 0.1)) for arm, (came, _) in world.units.items()}
    world.now += timedelta(hours=1)
    go_on(world, tmp_path)
    assert world.aliases == {"champion": "2"}


def test_a_log_that_says_nothing_never_ends_it_before_its_time(tmp_path: Path) -> None:
    world = begun(World(), tmp_path)
    progress = go_on(world, tmp_path, requests=0)
    assert (progress.phase, progress.reason) == (Phase.CANARY, "The log has no unit in an arm.")
    world.now += timedelta(days=91)
    assert go_on(world, tmp_path, requests=0).phase is Phase.HELD


def test_a_version_that_is_approved_meanwhile_waits_and_comes_after_the_end(tmp_path: Path) -> None:
    world = begun(World(), tmp_path)
    world.approve("4")
    progress = go_on(world, tmp_path, requests=10)
    assert last(world).is_experiment
    assert progress.reason.endswith("Version 4 waits until the experiment is over.")
    world.rates = {"2": 0.9}
    go_on(world, tmp_path, ticks=300)
    assert world.aliases == {"champion": "4"}
    assert [one.new.version for one in histories(world.events)[FLIGHTS].rollouts] == ["1", "2", "4"]


@pytest.mark.parametrize("version", ["2", "3"])
def test_people_end_it_by_taking_any_of_its_versions_back(tmp_path: Path, version: str) -> None:
    world = begun(World(), tmp_path)
    go_on(world, tmp_path, ticks=8, requests=10)
    world.archive(version, "grace")
    go_on(world, tmp_path, requests=10)
    assert (last(world).cause, world.aliases) == (Cause.WITHDRAWN, {"champion": "1"})
    assert world.stages == {"1": "Production", "2": "Archived", "3": "Archived"}


@pytest.mark.parametrize("version", ["2", "3"])
def test_a_version_that_cannot_start_ends_it_before_it_began(tmp_path: Path, version: str) -> None:
    world = begun(World(cannot_start={version}), tmp_path)
    go_on(world, tmp_path)
    rollout = last(world)
    assert (rollout.cause, rollout.failed) == (Cause.START, rollout.named(version))
    assert [share.challengers for share in world.shares] == [()]


def test_a_challenger_that_stays_silent_ends_it(tmp_path: Path) -> None:
    world = begun(World(), tmp_path)
    go_on(world, tmp_path, ticks=8, requests=0)
    world.dead.add("3")
    go_on(world, tmp_path, requests=0)
    rollout = last(world)
    assert (rollout.cause, rollout.failed) == (Cause.HEALTH, rollout.named("3"))
    assert rollout.reason == "Version 3 has not answered its health checks for too long."


def test_a_bad_challenger_stays_while_the_champion_does_not_answer(tmp_path: Path) -> None:
    world = begun(World(), tmp_path)
    go_on(world, tmp_path, ticks=8, requests=0)
    world.dead.add("1")
    world.faults = {"3": 30}
    go_on(world, tmp_path)
    assert last(world).phase is Phase.HELD
    assert world.routed is not None
    assert world.routed.percent == 50
    world.dead.clear()
    go_on(world, tmp_path)
    assert (last(world).cause, last(world).failed) == (Cause.VERDICT, last(world).named("3"))


def test_stopping_it_ends_it_without_a_winner_and_without_a_failure(tmp_path: Path) -> None:
    world = begun(World(), tmp_path)
    go_on(world, tmp_path, ticks=20)
    looks = ExperimentLooks(world.look, Journal(tmp_path), lambda: world.now)
    eyes = Eyes(SimulatedTarget(world), Journal(tmp_path), lambda: world.now, experiments=looks)
    stop(SimulatedLedger(world), eyes, FLIGHTS, "The campaign is over.")
    body = event(world, EventKind.ROLLOUT_ROLLED_BACK).body
    assert body["experiment"]["judgement"]["call"] == "not yet"
    assert body["looks"]
    go_on(world, tmp_path)
    assert (last(world).cause, last(world).reason, last(world).failed) == (
        Cause.NO_WINNER,
        "The campaign is over.",
        None,
    )
    assert world.stages == {"1": "Production", "2": "Archived", "3": "Archived"}
    with pytest.raises(UsageError, match="No experiment of 'flights-delay' is under way"):
        stop(SimulatedLedger(world), eyes, FLIGHTS, "Once more.")


def test_a_second_experiment_has_a_name_of_its_own(tmp_path: Path) -> None:
    world = begun(World(rates={"3": 0.2}), tmp_path)
    go_on(world, tmp_path, ticks=200)
    world.approve("4")
    world.approve("5")
    assert prepared(world, versions={"challenger": "4", "challenger-2": "5"}).name == "flights-delay-experiment-2"


@pytest.mark.parametrize(
    ("rates", "faults", "bake"),
    [({"3": 0.2}, {}, 0), ({"3": 0.2}, {}, 5), ({"2": 0.2}, {}, 0), ({"1": 0.2}, {}, 0), ({"3": 0.2}, {"3": 30}, 5)],
)
def test_a_crash_at_any_point_ends_in_the_same_place(
    tmp_path: Path, rates: dict[str, float], faults: dict[str, int], bake: int
) -> None:
    way = RolloutSpec(steps=(10,), **{**PLAIN, "bake": timedelta(minutes=bake)})

    def ended(folder: Path, crash_after: int | None) -> World:
        world = begun(World(rates=rates, faults=faults, spec=way), folder / "begun")
        world.crash_after = crash_after
        for _ in range(4):
            try:
                go_on(world, folder, ticks=100)
            except Crash:
                continue
            world.now += timedelta(minutes=bake + 1)
        return world

    expected = ended(tmp_path / "straight", None)
    assert last(expected).phase in {Phase.DONE, Phase.ROLLED_BACK}
    for after in range(30):
        world = ended(tmp_path / f"{after}", after)
        assert (world.stages, world.aliases, world.routed) == (expected.stages, expected.aliases, expected.routed)
        assert set(world.running) == set(expected.running)
        assert (last(world).phase, last(world).cause) == (last(expected).phase, last(expected).cause)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"usecase": None}, "names no usecase"),
        ({"rollout": "other"}, "names a rollout or a start"),
        ({"versions": {}}, "must name one version for each of challenger, challenger-2"),
        ({"versions": {"challenger": "2", "challenger-2": "2"}}, "none twice"),
        ({"versions": {"challenger": "2", "challenger-2": "9"}}, "Version 9 of 'flights-delay' is not in Production"),
        ({"versions": {"challenger": "2", "challenger-2": "1"}}, "Version 1 is no newer than the champion"),
        ({"shares": {"champion": 50, "challenger": 30, "other": 20}}, "arms that the gateway does not know"),
        ({"shares": {"champion": 50.5, "challenger": 29.5, "challenger-2": 20}}, "whole percents"),
        ({"control": "challenger"}, "arms that the gateway does not know"),
        ({"sticky": False}, "would change sides"),
    ],
)
def test_what_cannot_be_an_experiment_is_refused_with_the_reason(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    world = live(World(), tmp_path)
    world.approve("2")
    world.approve("3")
    before = list(world.events)
    with pytest.raises(UsageError, match=said):
        prepared(world, **changes)
    assert world.events == before


def test_a_guard_that_the_policy_demands_is_not_gone_round(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.approve("2")
    world.approve("3")
    policy = Policy(rollouts=RolloutPolicy(guard=("errors", "loss"))).model_dump(mode="json")
    world.append(EventKind.POLICY_ADOPTED, "policy", "pat", {"document": policy})
    with pytest.raises(UsageError, match="The policy demands guard 'loss'"):
        prepared(world)


def test_a_damaged_file_of_looks_costs_one_look(tmp_path: Path) -> None:
    world = begun(World(rates={"3": 0.2}), tmp_path)
    go_on(world, tmp_path, ticks=12, requests=10)
    (tmp_path / f"{last(world).name}.experiment.json").write_text('[{"arms": 3}]')
    go_on(world, tmp_path, ticks=200)
    assert world.aliases == {"champion": "3"}


def test_an_event_with_another_number_of_shares_than_versions_is_named(tmp_path: Path) -> None:
    world = begun(World(), tmp_path)
    body = dict(world.events[-1].body)
    world.append(EventKind.ROLLOUT_STARTED, f"{FLIGHTS}/2", "svc-controller", body | {"rollout": "more", "others": []})
    assert "1 versions and 2 shares" in str(histories(world.events)[FLIGHTS].damage)


def test_it_is_refused_where_nothing_is_live_or_a_rollout_is_under_way_or_a_version_has_failed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no control"):
        prepared(World())
    world = live(World(), tmp_path)
    world.approve("2")
    run(world, tmp_path, ticks=8, requests=20)
    world.approve("3")
    with pytest.raises(UsageError, match=r"A rollout of 'flights-delay' is under way \(version 2: canary\)"):
        prepared(world)
    run(world, tmp_path, errors=50)
    world.approve("2")
    world.approve("3")
    with pytest.raises(UsageError, match=r"Version \d failed in a rollout"):
        prepared(world)


def test_without_postgres_a_harmful_challenger_is_taken_out_of_traffic(tmp_path: Path) -> None:
    world = begun(World(), tmp_path)
    go_on(world, tmp_path, ticks=20, requests=10)
    world.faults = {"3": 300}
    emergency = Emergency(Journal(tmp_path), SimulatedTarget(world), lambda: world.now.astimezone(UTC))
    for _ in range(20):
        world.now += timedelta(seconds=30)
        emergency.tick()
        world.traffic(2000)
    assert world.routed is not None
    assert world.routed.challengers == ()
    controller(world, tmp_path).tick()
    assert (last(world).cause, last(world).failed) == (Cause.VERDICT, last(world).named("3"))
