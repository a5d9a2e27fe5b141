"""What people say of a rollout, on the real server: recorded under their name, or refused with a sentence."""

import json

import pytest
import requests
import sqlalchemy as sa

from flywheel import events
from flywheel.errors import FlywheelError
from flywheel.events import EventKind
from flywheel.identities import SERVICES
from tests.registry.commands import call, run
from tests.registry.conftest import Server
from tests.registry.rollouts.conftest import Controller

KINDS = {
    "pause": EventKind.ROLLOUT_PAUSED,
    "resume": EventKind.ROLLOUT_RESUMED,
    "allow": EventKind.ROLLOUT_ALLOWED,
}


def say(server: Server, user: str | None, model: str, saying: str, **body: str) -> requests.Response:
    asked = {"because": "the airport is closed"} | body
    return server.call(user, "POST", f"/flywheel/api/rollouts/{model}/{saying}", json=asked)


def sentence(answer: requests.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    return str(answer.json()["message"])


@pytest.mark.parametrize("user", ["olga", "grace"])
def test_what_a_person_says_is_one_event_under_their_name_with_their_reason(
    server: Server, going: str, user: str
) -> None:
    for saying in ("pause", "resume", "allow"):
        answer = say(server, user, going, saying)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["said"], answer.json()["percent"]) == (saying, 10)
        said = server.events(going, KINDS[saying])
        assert [(one.actor, one.subject) for one in said] == [(user, f"{going}/2")]
        assert said[0].body == {
            "rollout": answer.json()["rollout"],
            "version": "2",
            "reason": "the airport is closed",
        }
    server.trail_is_whole()


@pytest.mark.parametrize("user", ["ada", "vic", "admin", *SERVICES])
@pytest.mark.parametrize("saying", list(KINDS))
def test_who_may_not_operate_is_refused_and_nothing_is_recorded(
    server: Server, going: str, user: str, saying: str
) -> None:
    assert "refused" in sentence(say(server, user, going, saying), 403)
    assert not server.events(going, KINDS[saying])


def test_a_stranger_is_asked_for_a_login(server: Server, going: str) -> None:
    assert say(server, None, going, "pause").status_code == 401


@pytest.mark.parametrize("saying", list(KINDS))
def test_a_reason_must_be_given(server: Server, going: str, saying: str) -> None:
    assert "'because' is missing" in sentence(say(server, "olga", going, saying, because="  "), 400)


def test_a_model_without_a_rollout_and_one_that_is_not_there_are_said(server: Server, model: str) -> None:
    for saying in KINDS:
        assert "No rollout" in sentence(say(server, "olga", model, saying), 409)
    assert "nowhere" in sentence(say(server, "olga", "nowhere", "pause"), 404)


def test_another_rollout_than_the_one_under_way_is_refused(server: Server, going: str) -> None:
    refused = sentence(say(server, "olga", going, "pause", rollout=f"{going}-v1-aaaaaaaa-1"), 409)
    assert "is not under way" in refused
    assert f"'{going}-v2-bbbbbbbb-1' is" in refused
    assert say(server, "olga", going, "pause", rollout=f"{going}-v2-bbbbbbbb-1").status_code == 200


def test_what_changes_nothing_is_refused(server: Server, going: str) -> None:
    assert "is not paused" in sentence(say(server, "olga", going, "resume"), 409)
    say(server, "olga", going, "pause")
    assert "paused already, by olga: the airport is closed" in sentence(say(server, "grace", going, "pause"), 409)
    assert say(server, "grace", going, "allow").status_code == 200  # which ends the pause as well
    assert "already" in sentence(say(server, "grace", going, "allow"), 409)
    assert "is not paused" in sentence(say(server, "olga", going, "resume"), 409)


def test_a_second_promotion_waits_until_the_first_one_is_there(
    server: Server, going: str, controller: Controller
) -> None:
    assert say(server, "olga", going, "allow").status_code == 200
    controller.change(EventKind.ROLLOUT_STEP, f"{going}-v2-bbbbbbbb-1", "intent", step=1, percent=50)
    assert "takes a step already, to 50 %" in sentence(say(server, "grace", going, "allow"), 409)
    assert len(server.events(going, KINDS["allow"])) == 1
    assert say(server, "grace", going, "pause").status_code == 200
    controller.change(EventKind.ROLLOUT_STEP, f"{going}-v2-bbbbbbbb-1", "done", step=1, percent=50)
    assert say(server, "grace", going, "allow").status_code == 200


def test_a_held_rollout_is_let_go_on_and_not_resumed(server: Server, going: str, controller: Controller) -> None:
    controller.change(EventKind.ROLLOUT_HELD, f"{going}-v2-bbbbbbbb-1", "intent", halted=None)
    assert f"flywheel promote {going}" in sentence(say(server, "olga", going, "resume"), 409)
    assert say(server, "olga", going, "allow").json()["phase"] == "held"


@pytest.mark.parametrize(
    ("kind", "states", "words"),
    [
        (EventKind.ROLLOUT_ROLLED_BACK, ["intent"], "is rolling back already"),
        (EventKind.ROLLOUT_ROLLED_BACK, ["intent", "done"], "No rollout"),
        (EventKind.ROLLOUT_PROMOTED, ["intent"], "has no step left"),
        (EventKind.ROLLOUT_PROMOTED, ["intent", "done"], "No rollout"),
    ],
)
def test_what_is_over_or_cannot_be_stopped_takes_no_word(
    server: Server, going: str, controller: Controller, kind: EventKind, states: list[str], words: str
) -> None:
    controller.change(kind, f"{going}-v2-bbbbbbbb-1", *states, cause="verdict")
    for saying, said in KINDS.items():
        assert words in sentence(say(server, "olga", going, saying), 409)
        assert not server.events(going, said)


def test_the_controllers_database_role_speaks_for_no_person(going: str, controller: Controller) -> None:
    body = {"rollout": f"{going}-v2-bbbbbbbb-1", "version": "2", "reason": "forged"}
    with pytest.raises(sa.exc.DBAPIError, match="may not record"), controller.engine.begin() as connection:
        events.append(connection, EventKind.ROLLOUT_ALLOWED, f"{going}/2", "olga", body)


def test_everybody_who_is_logged_in_reads_the_rollouts(server: Server, going: str) -> None:
    found = server.call("vic", "GET", f"/flywheel/api/rollouts/{going}").json()["rollouts"]
    assert [(one["version"], one["phase"], one["champion"]) for one in found] == [("2", "canary", "1")]
    assert server.call("vic", "GET", "/flywheel/api/rollouts/nowhere").status_code == 404
    assert server.call(None, "GET", f"/flywheel/api/rollouts/{going}").status_code == 401


@pytest.mark.usefixtures("home")
def test_the_commands_say_it_and_tell_what_follows(going: str) -> None:
    paused = run("pause", going, "--because", "fog", "--user", "olga")
    assert paused == (
        f"Rollout '{going}-v2-bbbbbbbb-1' (version 2 of '{going}') stays at 10 % of the requests until "
        f"`flywheel resume {going}`.\n"
    )
    assert "goes on by the evidence" in run("resume", going, "--user", "olga")
    document = json.loads(run("promote", going, "--because", "seen enough", "--user", "olga", "--json"))
    assert (document["said"], document["by"], document["because"]) == ("allow", "olga", "seen enough")
    with pytest.raises(FlywheelError, match="is no operator or reviewer"):
        run("pause", going, "--because", "fog", "--user", "ada")
    assert call("pause", going, "--user", "olga").exit_code == 2
