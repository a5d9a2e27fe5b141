"""The controller against simulated parts: the ways a rollout goes."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from deploy.loop.fold import histories
from deploy.loop.plans import References, make_plan
from deploy.loop.progress import Progress
from deploy.loop.rollout import Phase, intended
from deploy.shares import Share
from deploy.verdict.calls import Call
from deploy.verdict.several import judge_metrics
from deploy.verdict_file import judge_file
from deploy.verdict_looks import LookSpec
from flywheel.events import EventKind
from flywheel.rollbacks import Cause
from tests.deploy.simulated import FLIGHTS, SPEC, World, controller, live, run


def test_the_first_version_goes_live_at_once(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    assert world.aliases == {"champion": "1"}
    assert [share.percent for share in world.shares] == [0]
    assert [event.kind for event in world.events[1:]] == [
        EventKind.ROLLOUT_STARTED,
        EventKind.ROLLOUT_PROMOTED,
        EventKind.ROLLOUT_PROMOTED,
    ]


def test_a_good_version_goes_through_every_step_and_replaces_the_champion(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.approve("2")
    progress = run(world, tmp_path)
    assert progress is not None
    assert progress.settled
    assert world.aliases == {"champion": "2"}
    assert world.stages == {"1": "Archived", "2": "Production"}
    assert [share.percent for share in world.shares] == [0, 10, 50, 0]
    assert {served.version for served in world.running} == {"2"}


def test_a_bad_version_is_rolled_back_archived_with_its_verdict_and_stays_back(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.approve("2")
    progress = run(world, tmp_path, errors=50)
    assert progress is not None
    assert "requests to the canary failed" in progress.reason
    assert world.stages == {"1": "Production", "2": "Archived"}
    assert world.aliases == {"champion": "1"}
    assert world.routed == Share(intended(histories(world.events)[FLIGHTS]).champion)  # type: ignore[union-attr]
    before = len(world.events)
    world.approve("2")  # the same bytes once more
    run(world, tmp_path)
    assert len(world.events) == before + 1
    assert histories(world.events)[FLIGHTS].rollouts[-1].cause is Cause.VERDICT


def test_an_outage_goes_back_while_the_log_that_knows_users_is_silent_and_bursts_of_a_few_do_not(
    tmp_path: Path,
) -> None:
    spec = SPEC.model_copy(update={"unit": "user", "ceiling": 0.1})
    for errors, cause in ((80, Cause.VERDICT), (0, None)):
        folder = tmp_path / str(errors)
        world = live(World(spec=spec), folder)
        world.approve("2")
        progress = run(world, folder, errors=errors)  # of 100 requests to the new version, a look
        assert histories(world.events)[FLIGHTS].rollouts[-1].cause is cause
        assert progress is not None
    plan = make_plan(spec, 0.05, References()).traffic
    assert plan is not None
    bursts = [{"outage": {"differences": [0.2 if number % 5 == 0 else 0.0]}} for number in range(400)]
    looks = [LookSpec(step=10, metrics=one).taken(plan) for one in bursts]
    assert judge_metrics(plan.build(), looks).call is Call.NOT_YET  # a user's requests fail together


def test_the_record_of_a_step_is_a_file_that_flywheel_verdict_judges_alike(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.approve("2")
    run(world, tmp_path, errors=50)
    started = next(one for one in world.events if one.kind == EventKind.ROLLOUT_STARTED and one.body["version"] == "2")
    event = next(one for one in world.events if one.kind == EventKind.ROLLOUT_ROLLED_BACK)
    file = tmp_path / "record.json"
    file.write_text(json.dumps({"plan": started.body["plan"]["verdicts"]["traffic"], "looks": event.body["looks"]}))
    judged, found = judge_file(file)
    assert judged.call == "roll back"
    assert found["verdict"] == event.body["verdict"]


def test_a_version_that_cannot_start_fails_and_the_champion_is_untouched(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.cannot_start.add("2")
    world.approve("2")
    progress = run(world, tmp_path)
    assert progress is not None
    assert "no such column" in progress.reason
    assert [share.percent for share in world.shares] == [0]
    assert world.stages["2"] == "Archived"


def test_a_version_whose_environment_cannot_be_built_is_tried_again_once_it_is_approved_anew(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.cannot_build.add("2")
    world.approve("2")
    run(world, tmp_path)
    assert world.stages["2"] == "Archived"
    assert histories(world.events)[FLIGHTS].rollouts[-1].cause is Cause.ENVIRONMENT
    world.cannot_build.clear()
    run(world, tmp_path)
    assert world.aliases == {"champion": "1"}  # nobody has asked for it again
    world.approve("2")
    run(world, tmp_path)
    assert world.aliases == {"champion": "2"}


def test_a_newer_approval_takes_the_place_of_a_rollout(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.approve("2")
    run(world, tmp_path, ticks=8, requests=20)
    assert world.routed is not None
    assert world.routed.percent == 10
    world.approve("3")
    run(world, tmp_path)
    assert world.aliases == {"champion": "3"}
    assert world.stages == {"1": "Archived", "2": "Archived", "3": "Production"}
    assert [one.cause for one in histories(world.events)[FLIGHTS].rollouts] == [None, Cause.SUPERSEDED, None]


def test_a_withdrawn_version_leaves_traffic_and_may_come_again(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.approve("2")
    run(world, tmp_path, ticks=8, requests=20)
    world.archive("2", "grace")
    run(world, tmp_path)
    assert world.aliases == {"champion": "1"}
    world.approve("2")
    run(world, tmp_path)
    assert world.aliases == {"champion": "2"}


def test_without_traffic_the_rollout_holds_and_asks_when_time_is_up(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.approve("2")
    run(world, tmp_path, ticks=10, requests=0)
    world.now += timedelta(minutes=31)
    progress = run(world, tmp_path, requests=0)
    assert progress is not None
    assert progress.phase is Phase.HELD
    assert progress.settled
    assert "archive it to end this" in progress.reason


def test_a_bad_canary_that_is_the_only_healthy_copy_is_not_taken_away(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.approve("2")
    run(world, tmp_path, ticks=7, requests=0)
    world.dead.add("1")
    run(world, tmp_path, errors=50, ticks=20)
    assert world.routed is not None
    assert world.routed.percent == 10
    assert histories(world.events)[FLIGHTS].rollouts[-1].phase is Phase.HELD
    world.dead.clear()
    run(world, tmp_path, requests=0)
    assert histories(world.events)[FLIGHTS].rollouts[-1].cause is Cause.VERDICT
    assert world.routed.percent == 0


def test_a_canary_that_stays_silent_is_rolled_back(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.approve("2")
    run(world, tmp_path, ticks=8, requests=0)
    world.dead.add("2")
    run(world, tmp_path, ticks=120, requests=0)
    assert histories(world.events)[FLIGHTS].rollouts[-1].cause is Cause.HEALTH


def test_a_lost_journal_costs_no_evidence(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.approve("2")
    before = run(world, tmp_path, ticks=10, requests=200)
    assert before is not None
    for file in tmp_path.iterdir():
        file.unlink()
    after = run(world, tmp_path, ticks=1, requests=200)
    assert after is not None
    assert after.percent == before.percent == 10
    counted = [one.verdict["metrics"]["errors"]["counts"]["canary_requests"] for one in (before, after)]
    assert counted[1] >= counted[0] > 0


def restored(world: World, folder: Path) -> Progress:
    """Let a stack start anew: nothing runs, nothing is routed; restore until that is settled."""
    world.running.clear()
    world.routed, one = None, controller(world, folder)
    for _ in range(10):
        (progress,) = one.restore()
        if progress.settled:
            break
    return progress


@pytest.mark.parametrize("ticks", [0, 3, 5, 60])
def test_after_a_start_of_the_stack_traffic_is_what_it_was_and_nothing_is_decided(tmp_path: Path, ticks: int) -> None:
    world = live(World(), tmp_path)
    world.approve("2")
    run(world, tmp_path, ticks=ticks)
    events = list(world.events)
    progress = restored(world, tmp_path)
    assert (progress.settled, progress.reason) == (True, "Live.")
    assert world.events == events
    assert world.routed == intended(histories(events)[FLIGHTS])


def test_what_cannot_start_any_more_is_said_and_not_waited_for(tmp_path: Path) -> None:
    world = live(World(), tmp_path)
    world.cannot_start.add("1")
    progress = restored(world, tmp_path)
    assert progress.settled
    assert "It did not start." in progress.reason
