from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deploy.desired import Approval, Served, approvals, newest
from deploy.loop.decision import Action, Observed, Opinion, decide
from deploy.loop.fold import histories, history_of
from deploy.loop.plans import References, errors_only, make_plan
from deploy.loop.rollout import Phase, Rollout, intended, started_body
from deploy.shares import Challenger, Share
from deploy.verdict import Call
from flywheel.errors import IntegrityError
from flywheel.events import GENESIS, Event, EventKind, Head, chained
from flywheel.rollbacks import Cause
from flywheel.rollout_spec import Rollout as RolloutSpec

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW, NEWER = (Served("flights", version, f"sha256:{version * 8}") for version in "123")
PLAN = errors_only((10, 50), 0.01)
CANARY = Rollout("r", NEW, OLD, PLAN, Phase.CANARY, NOW, NOW, NOW, step=0)
FINE = Observed(desired=NEW, in_force=True, ready=True, healthy=frozenset({"1", "2"}), now=NOW)


def verdict(call: Call) -> Opinion:
    return Opinion(call, f"It is {call}.")


def chain(*entries: tuple[EventKind, Served, dict[str, Any]]) -> list[Event]:
    events: list[Event] = []
    for kind, served, body in entries:
        head = Head(events[-1].seq, events[-1].hash) if events else GENESIS
        events.append(chained(head, kind, served.subject, "svc-controller", body, NOW))
    return events


@pytest.mark.parametrize(
    ("rollout", "seen", "action", "cause"),
    [
        (CANARY, FINE, Action.WAIT, None),
        (CANARY, replace(FINE, verdict=verdict(Call.NOT_YET)), Action.WAIT, None),
        (CANARY, replace(FINE, verdict=verdict(Call.PROMOTE)), Action.ADVANCE, None),
        (replace(CANARY, step=1), replace(FINE, verdict=verdict(Call.PROMOTE)), Action.PROMOTE, None),
        (CANARY, replace(FINE, verdict=verdict(Call.ROLL_BACK)), Action.ROLL_BACK, Cause.VERDICT),
        (CANARY, replace(FINE, silent_too_long=True), Action.ROLL_BACK, Cause.HEALTH),
        (CANARY, replace(FINE, desired=NEWER), Action.ROLL_BACK, Cause.SUPERSEDED),
        (CANARY, replace(FINE, desired=OLD), Action.ROLL_BACK, Cause.WITHDRAWN),
        (CANARY, replace(FINE, desired=None), Action.ROLL_BACK, Cause.WITHDRAWN),
        (CANARY, replace(FINE, now=NOW + timedelta(minutes=31)), Action.HOLD, None),
        (CANARY, replace(FINE, in_force=False), Action.WAIT, None),
        (replace(CANARY, confirmed=False), FINE, Action.CONFIRM, None),
        (replace(CANARY, confirmed=False), replace(FINE, in_force=False), Action.WAIT, None),
        (replace(CANARY, phase=Phase.HELD), replace(FINE, verdict=verdict(Call.PROMOTE)), Action.WAIT, None),
        (
            replace(CANARY, phase=Phase.HELD),
            replace(FINE, verdict=verdict(Call.ROLL_BACK)),
            Action.ROLL_BACK,
            Cause.VERDICT,
        ),
        (replace(CANARY, phase=Phase.STARTING, step=-1), replace(FINE, ready=False), Action.WAIT, None),
        (replace(CANARY, phase=Phase.STARTING, step=-1), FINE, Action.ADVANCE, None),
        (replace(CANARY, phase=Phase.STARTING, step=-1, old=None), FINE, Action.PROMOTE, None),
        (replace(CANARY, phase=Phase.STARTING), replace(FINE, failure="No."), Action.ROLL_BACK, Cause.START),
        (replace(CANARY, phase=Phase.PROMOTING, confirmed=False), replace(FINE, desired=NEWER), Action.CONFIRM, None),
    ],
)
def test_each_situation_has_one_decision(rollout: Rollout, seen: Observed, action: Action, cause: Cause | None) -> None:
    decision = decide(rollout, seen)
    assert (decision.action, decision.cause) == (action, cause)
    assert decision.reason or decision.action in {Action.CONFIRM, Action.WAIT}


def test_a_bad_canary_is_kept_while_it_is_the_only_copy_that_answers() -> None:
    seen = replace(FINE, healthy=frozenset({"2"}), verdict=verdict(Call.ROLL_BACK))
    decision = decide(CANARY, seen)
    assert (decision.action, decision.cause) == (Action.HOLD, Cause.VERDICT)
    assert "champion does not answer" in decision.reason


def test_events_fold_to_phase_share_and_champion() -> None:
    first = started_body(OLD, None, "r1", PLAN)
    second = started_body(NEW, OLD, "r2", PLAN)
    step = {"rollout": "r2", "step": 0, "percent": 10}
    counted = {"champion": {"requests": 1, "errors": 0, "slow": {}}}
    events = chain(
        (EventKind.ROLLOUT_STARTED, OLD, first),
        (EventKind.ROLLOUT_PROMOTED, OLD, {"rollout": "r1", "state": "intent"}),
        (EventKind.ROLLOUT_PROMOTED, OLD, {"rollout": "r1", "state": "done"}),
        (EventKind.ROLLOUT_STARTED, NEW, second),
        (EventKind.ROLLOUT_STEP, NEW, {**step, "state": "intent"}),
        (
            EventKind.ROLLOUT_STEP,
            NEW,
            {**step, "state": "done", "counters": counted},
        ),
        (EventKind.ROLLOUT_ROLLED_BACK, NEW, {"rollout": "r2", "state": "intent", "cause": "verdict"}),
        (EventKind.ROLLOUT_ROLLED_BACK, NEW, {"rollout": "r2", "state": "done", "cause": "verdict"}),
    )
    shares = [intended(histories(events[:length])["flights"]) for length in range(1, len(events) + 1)]
    canary = Share(OLD, (Challenger(NEW, 10),), rollout="r2")
    assert shares == [None, Share(OLD), Share(OLD), Share(OLD), canary, canary, Share(OLD), Share(OLD)]
    history = histories(events)["flights"]
    assert (history.champion, history.current, history.failed) == (OLD, None, {NEW.digest})


def test_the_newest_approved_version_that_has_not_failed_is_wanted() -> None:
    found = [Approval(served, "grace", NOW, 1) for served in (OLD, NEW, NEWER)]
    stages = {"1": "Production", "2": "Production", "3": "Production"}
    assert newest(found, stages, ()) == NEWER
    assert newest(found, stages, {NEWER.digest}) == NEW
    assert newest(found, {**stages, "3": "Archived"}, ()) == NEW
    assert newest([], stages, ()) is None


def test_a_transition_without_a_digest_or_a_later_one_is_no_approval() -> None:
    body = {"model": "flights", "version": "1", "to": "Production", "digest": OLD.digest}
    approved = (EventKind.TRANSITION, OLD, body)
    assert [one.served for one in approvals(chain(approved))["flights"]] == [OLD]
    assert approvals(chain((EventKind.TRANSITION, OLD, {**body, "digest": None}))) == {}
    assert approvals(chain(approved, (EventKind.TRANSITION, OLD, {**body, "to": "Archived"}))) == {}


@pytest.mark.parametrize("body", [{}, {"rollout": "never-started", "step": 1}, {"unreadable": "{"}])
def test_an_event_that_nobody_can_read_is_named_and_damages_its_use_case_alone(body: dict[str, Any]) -> None:
    damaged = (EventKind.ROLLOUT_STEP, Served("rain", "2", "sha256:2"), body)
    sound = (EventKind.ROLLOUT_STARTED, OLD, started_body(OLD, None, "r1", PLAN))
    events = chain(damaged, sound)
    found = histories(events)
    assert [one.new for one in found["flights"].rollouts] == [OLD]
    assert found["flights"].damage is None
    assert str(found["rain"].damage).startswith("Event 1 (rollout.step of rain/2) is none that this release can read")
    with pytest.raises(IntegrityError, match="`flywheel undeploy rain`"):
        history_of(events, "rain")
    assert history_of(events, "flights") == found["flights"]


def test_a_damaged_record_begins_anew_where_people_took_the_use_case_out_of_service() -> None:
    body = {"version": "1", "reason": "Its record cannot be read."}
    damaged: tuple[EventKind, Served, dict[str, Any]] = (EventKind.ROLLOUT_STEP, OLD, {})
    again = (EventKind.ROLLOUT_STARTED, OLD, started_body(OLD, None, "r1", PLAN))
    history = history_of(chain(damaged, (EventKind.ROLLOUT_UNDEPLOYED, OLD, body), again), "flights")
    assert [one.new for one in history.standing] == [OLD]


def test_a_plan_that_an_earlier_release_recorded_still_holds() -> None:
    plan = make_plan(RolloutSpec(), 0.05, References(latency=(0.1, 0.2)))
    body = started_body(NEW, OLD, "r1", plan)
    told = body["plan"]
    told["spec"]["nice"] = True
    told["verdicts"]["traffic"]["metrics"]["latency"] |= {"planned_requests": 5, "pace": 1.0, "spending": 0.5}
    del told["verdicts"]["traffic"]["metrics"]["latency"]["block_seconds"], told["evidence"]
    event = chain((EventKind.ROLLOUT_STARTED, NEW, body))[0]
    [rollout] = histories([event])["flights"].rollouts
    assert rollout.plan.steps == plan.steps
    assert rollout.plan.judged_by(1) is not None
