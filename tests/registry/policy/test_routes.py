"""Reviews, standings and overrides on the real server."""

from typing import TYPE_CHECKING, Any

import pytest

from flywheel.events import EventKind

if TYPE_CHECKING:
    import requests

    from tests.registry.conftest import Server


BORN = {EventKind.VERSION_CREATED, EventKind.VERSION_SIGNED}


def say(
    server: "Server", user: str | None, model: str, version: str, decision: str, comment: str = ""
) -> "requests.Response":
    body = {"decision": decision, "comment": comment}
    return server.call(user, "POST", f"/flywheel/api/review/{model}/{version}", json=body)


def standing(server: "Server", user: str, model: str, version: str) -> dict[str, Any]:
    answer = server.call(user, "GET", f"/flywheel/api/standing/{model}/{version}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def override(server: "Server", user: str, model: str, version: str, reason: str = "Fire.") -> "requests.Response":
    return server.call(user, "POST", f"/flywheel/api/override/{model}/{version}", json={"reason": reason})


def sentence(answer: "requests.Response", status: int = 403) -> str:
    assert answer.status_code == status, answer.text
    return str(answer.json()["message"])


@pytest.fixture
def strict(server: "Server") -> str:
    """A model that needs two approvals."""
    return server.model(prefix="strict-two")


def test_two_approvals_are_two_people_on_the_same_bytes_the_mover_included(server: "Server", strict: str) -> None:
    version = server.register(strict)
    refused = sentence(server.move("grace", strict, version, "Production"))
    assert (
        "has 0 of 2 approvals, and needs 1 more, the one of grace who moves it included: alan can approve." in refused
    )
    assert say(server, "alan", strict, version, "approve", "Looks right").status_code == 200
    assert server.move("grace", strict, version, "Production").status_code == 200
    given, moved = server.events(strict, EventKind.REVIEW_APPROVED), server.events(strict, EventKind.TRANSITION)
    assert [event.actor for event in given] == ["alan"]
    assert given[0].body["digest"] == moved[0].body["digest"]
    assert server.version(strict, version)["tags"]["flywheel.review.alan"].endswith("UTC: Looks right")


def test_ones_own_approval_and_move_are_one_approval(server: "Server", strict: str) -> None:
    version = server.register(strict)
    assert say(server, "grace", strict, version, "approve").status_code == 200
    assert say(server, "grace", strict, version, "approve").status_code == 200
    assert "needs 1 more: alan can approve" in sentence(server.move("grace", strict, version, "Production"))


@pytest.mark.parametrize("decision", ["reject", "request_changes"])
def test_an_objection_blocks_until_whoever_objected_withdraws_it(server: "Server", model: str, decision: str) -> None:
    version = server.register(model)
    assert say(server, "alan", model, version, decision, "LGA is wrong").status_code == 200
    assert "by alan: “LGA is wrong”." in sentence(server.move("grace", model, version, "Production"))
    assert say(server, "alan", model, version, "withdraw").status_code == 200
    assert server.move("grace", model, version, "Production").status_code == 200


def test_an_objection_ends_with_the_approval_of_who_objected(server: "Server", model: str) -> None:
    version = server.register(model)
    assert say(server, "alan", model, version, "reject", "No").status_code == 200
    assert say(server, "alan", model, version, "approve").status_code == 200
    assert server.move("grace", model, version, "Production").status_code == 200


@pytest.mark.parametrize(
    ("user", "decision", "told"),
    [
        ("ada", "approve", "its author may not approve it (four eyes)"),
        ("ada", "reject", "'ada' is no reviewer"),
        ("admin", "approve", "'admin' is no reviewer"),
        ("olga", "approve", "'olga' is no reviewer"),
        ("vic", "comment", "'vic' is a viewer"),
        ("vic", "approve", "'vic' is a viewer"),
        ("olga", "comment", "'olga' may not comment"),
    ],
)
def test_who_may_not_say_that_is_told_why(server: "Server", model: str, user: str, decision: str, told: str) -> None:
    version = server.register(model)
    assert told in sentence(say(server, user, model, version, decision, "x"))
    assert {event.kind for event in server.events(model)} <= BORN


def test_a_stranger_says_nothing(server: "Server", model: str) -> None:
    version = server.register(model)
    assert say(server, None, model, version, "comment", "x").status_code == 401


def test_a_review_that_is_none_is_refused_with_what_to_send(server: "Server", model: str) -> None:
    version = server.register(model)
    assert "Decision 'nod' is not known" in sentence(say(server, "grace", model, version, "nod"), 400)
    assert "needs a comment" in sentence(say(server, "grace", model, version, "reject", "  "), 400)
    assert "no review of version" in sentence(say(server, "grace", model, version, "withdraw"), 409)
    sentence(say(server, "grace", model, "99", "approve"), 404)
    sentence(say(server, "grace", model, "many", "approve"), 400)
    assert "the most is 10000" in sentence(say(server, "grace", model, version, "comment", "x" * 10_001), 400)
    assert "holds a NUL" in sentence(say(server, "grace", model, version, "comment", "a\0b"), 400)
    broken = server.call("grace", "POST", f"/flywheel/api/review/{model}/{version}", data=b"{")
    assert "no JSON object" in sentence(broken, 400)


def test_the_tag_review_gives_a_review_from_mlflows_own_page(server: "Server", model: str) -> None:
    version = server.register(model)
    tag = {"name": model, "version": version, "key": "review"}
    server.made("alan", "model-versions/set-tag", **tag, value="Request changes: a map of LGA")
    assert server.events(model, EventKind.REVIEW_CHANGES_REQUESTED)[0].body["comment"] == "a map of LGA"
    assert "changes requested by alan" in sentence(server.move("grace", model, version, "Production"))
    server.made("alan", "model-versions/set-tag", **tag, value="approve")
    tags = server.version(model, version)["tags"]
    assert "review" not in tags
    assert tags["flywheel.review.alan"].startswith("approved ")
    wrong = server.post("alan", "model-versions/set-tag", **tag, value="yes, fine")
    assert "Write one of: approve, reject: REASON" in sentence(wrong, 400)
    assert "four eyes" in sentence(server.post("ada", "model-versions/set-tag", **tag, value="approve"))
    assert server.move("grace", model, version, "Production").status_code == 200


def test_a_standing_names_all_needs_the_missing_ones_first(server: "Server") -> None:
    model = server.model(prefix="gated")
    version = server.register(model)
    found = standing(server, "ada", model, version)
    assert [need["name"] for need in found["needs"]][:2] == ["gate:size", "gate:card"]
    assert {need["name"] for need in found["needs"] if need["met"]} == {
        *("author", "bytes", "rollout", "contributors", "rejections", "approvals", "freeze"),
    }
    assert (found["ready"], found["may_review"]) == (False, False)
    assert "four eyes" in found["why_not"]
    assert found["digest"] == server.version(model, version)["tags"]["flywheel.digest"]


def test_one_refusal_names_all_that_is_missing(server: "Server") -> None:
    model = server.model(prefix="gated")
    version = server.register(model)
    assert say(server, "alan", model, version, "reject", "Too big").status_code == 200
    assert sentence(server.move("grace", model, version, "Production")) == (
        "Transition to Production refused: rejected by alan: “Too big”. Whoever objected withdraws that, or approves. "
        f"Gates size, card have not been run on it. Run: flywheel gates run {model} {version}."
    )


def test_a_freeze_is_told_with_its_reason_and_end(server: "Server") -> None:
    model = server.model(prefix="frozen")
    version = server.register(model)
    assert sentence(server.move("grace", model, version, "Production")) == (
        "Transition to Production refused: nothing goes to Production until 2100-01-01 00:00 UTC: A test."
    )


def test_a_model_of_unknown_origin_is_refused_where_the_policy_says_so(server: "Server") -> None:
    model = server.model(prefix="known")
    version = server.register(model)
    refused = sentence(server.move("grace", model, version, "Production"))
    assert "who contributed to it is not known: it holds no lineage that Flywheel's training wrote" in refused


def test_an_override_goes_round_gates_and_freeze_with_its_reason_and_an_alert(server: "Server") -> None:
    model = server.model(prefix="frozen")
    version = server.register(model)
    assert override(server, "admin", model, version, "The old one is on fire.").status_code == 200
    assert server.version(model, version)["current_stage"] == "Production"
    told = [event for event in server.events(model) if event.kind not in BORN]
    assert [event.kind for event in told] == [EventKind.OVERRIDDEN, EventKind.TRANSITION, EventKind.ALERT]
    overridden, moved, alert = told
    assert overridden.body["reason"] == moved.body["reason"] == "The old one is on fire."
    assert moved.body["digest"].startswith("sha256:")
    assert "admin overrode the policy" in alert.body["sentence"]


def test_an_override_needs_the_right_a_reason_and_another_pair_of_eyes(server: "Server", model: str) -> None:
    version = server.register(model, "admin")
    assert "'grace' may not override the policy. These may: admin, root." in sentence(
        override(server, "grace", model, version)
    )
    refused = sentence(override(server, "admin", model, version))
    assert "which no override forgives. Others who may: root." in refused
    assert "'reason' is missing" in sentence(override(server, "root", model, version, " "), 400)
    assert override(server, "root", model, version).status_code == 200
    assert "in Production already" in sentence(override(server, "root", model, version))


def test_no_override_takes_bytes_that_cannot_be_pinned(server: "Server", model: str) -> None:
    run, _ = server.run()
    body = {"name": model, "source": "s3://somewhere/else", "run_id": run}
    version = server.made("ada", "model-versions/create", **body)["model_version"]["version"]
    assert "not in this server's artifact store" in sentence(override(server, "admin", model, version))
    assert server.events(model)[0].body["fault"].startswith("its source 's3://somewhere/else' is not in")


def test_a_viewer_changes_nothing(server: "Server", model: str) -> None:
    version = server.register(model)
    tag = {"name": model, "version": version, "key": "team", "value": "ops"}
    assert server.post("vic", "model-versions/set-tag", **tag).status_code == 403
    assert server.move("vic", model, version, "Staging").status_code == 403
    assert "a viewer" in sentence(server.post("vic", "registered-models/create", name=f"{model}-of-vic"))


def test_an_operator_takes_out_of_production_and_puts_nothing_in(server: "Server", model: str) -> None:
    version = server.register(model)
    assert "'olga' is no reviewer" in sentence(server.move("olga", model, version, "Production"))
    assert server.move("grace", model, version, "Production").status_code == 200
    assert "only svc-controller or who may operate (alan, grace, olga)" in sentence(
        server.move("ada", model, version, "Archived")
    )
    assert server.move("olga", model, version, "Archived").status_code == 200
