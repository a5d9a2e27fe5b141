"""The gate on the real server, over MLflow's own REST API, with real logins and the real event trail."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from deploy.desired import approvals
from flywheel import events
from flywheel.connections import secrets
from flywheel.digest import folder_digest
from flywheel.events import EventKind
from flywheel.identities import CONTROLLER, TRAINING
from flywheel.settings import Settings

if TYPE_CHECKING:
    from registry.store.gate import GateStore
    from tests.registry.conftest import Server


# MLflow itself uses what SQLAlchemy and Starlette have deprecated. It is imported when a test runs, not when it is
# collected, because these exceptions hold only then.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*noload:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:starlette.middleware.wsgi:UserWarning"),
]


def refusal(response: Any) -> str:
    assert response.status_code == 403, response.text
    assert response.json()["error_code"] == "PERMISSION_DENIED"
    return str(response.json()["message"])


def test_the_author_is_refused_with_a_sentence_that_says_what_is_missing(server: "Server", model: str) -> None:
    version = server.register(model, "ada")
    assert refusal(server.move("ada", model, version, "Production")) == (
        f"Transition to Production refused: version {version} of '{model}' was made by ada, and its author may not "
        "approve it (four eyes). A reviewer (alan, grace) can make this transition."
    )
    assert server.version(model, version)["current_stage"] == "None"


@pytest.mark.parametrize("user", ["admin", TRAINING, CONTROLLER])
def test_who_is_no_reviewer_is_refused_also_as_administrator(server: "Server", model: str, user: str) -> None:
    version = server.register(model)
    assert f"'{user}' is no reviewer" in refusal(server.move(user, model, version, "Production"))


def test_a_stranger_gets_401(server: "Server", model: str) -> None:
    version = server.register(model)
    assert server.move(None, model, version, "Production").status_code == 401
    assert server.events(model, EventKind.TRANSITION_REFUSED) == []


@pytest.mark.parametrize("stage", ["pRoDuction", "PRODUCTION", "production"])
def test_a_stage_is_judged_however_it_is_spelled(server: "Server", model: str, stage: str) -> None:
    version = server.register(model)
    refusal(server.move("ada", model, version, stage))
    assert server.move("grace", model, version, stage).status_code == 200
    assert server.version(model, version)["current_stage"] == "Production"


def test_a_reviewer_passes_and_both_attempts_are_events_of_a_whole_chain(server: "Server", model: str) -> None:
    version = server.register(model)
    reason = refusal(server.move("ada", model, version, "Production"))
    assert server.move("grace", model, version, "Production").status_code == 200
    created, signed, refused, passed = server.events(model)
    assert signed.kind == EventKind.VERSION_SIGNED
    assert (created.kind, created.actor) == (EventKind.VERSION_CREATED, "ada")
    assert (refused.kind, refused.actor, refused.body["reason"]) == (EventKind.TRANSITION_REFUSED, "ada", reason)
    assert (passed.kind, passed.actor, passed.subject) == (EventKind.TRANSITION, "grace", f"{model}/{version}")
    assert passed.body["author"] == "ada"
    assert (passed.body["from"], passed.body["to"]) == ("None", "Production")
    assert passed.body["run_id"] == server.version(model, version)["run_id"]
    assert server.trail_is_whole()


def test_the_approval_carries_the_digest_of_what_a_client_downloads(
    server: "Server", model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = server.register(model)
    assert server.move("grace", model, version, "Production").status_code == 200
    folder = download(server, f"models:/{model}/{version}", tmp_path, monkeypatch)
    approval = server.events(model, EventKind.TRANSITION)[-1]
    assert approval.body["digest"] == folder_digest(folder)
    assert server.version(model, version)["tags"]["flywheel.digest"] == folder_digest(folder)


def test_archiving_others_by_the_dialog_is_refused(server: "Server", model: str) -> None:
    version = server.register(model)
    assert "Untick" in refusal(server.move("grace", model, version, "Production", archive=True))


def test_archiving_others_in_staging_is_recorded_for_each(server: "Server", model: str) -> None:
    first, second = server.register(model), server.register(model)
    assert server.move("ada", model, first, "Staging").status_code == 200
    assert server.move("ada", model, second, "Staging", archive=True).status_code == 200
    moves = [(event.subject, event.body["to"]) for event in server.events(model, EventKind.TRANSITION)]
    assert moves == [
        (f"{model}/{first}", "Staging"),
        (f"{model}/{first}", "Archived"),
        (f"{model}/{second}", "Staging"),
    ]


def test_only_the_controller_or_a_reviewer_takes_a_version_out_of_production(server: "Server", model: str) -> None:
    version = server.register(model)
    server.move("grace", model, version, "Production")
    refusal(server.move("ada", model, version, "Archived"))
    refusal(server.move("ada", model, version, "Staging"))
    assert server.move(CONTROLLER, model, version, "Archived").status_code == 200


def test_traffic_aliases_are_the_controllers_and_each_move_is_an_event(server: "Server", model: str) -> None:
    version = server.register(model)
    for user, alias in [("ada", "champion"), ("grace", "Champion"), ("admin", "CHALLENGER"), ("ada", "ｃhampion")]:
        alias_body = {"name": model, "alias": alias, "version": version}
        assert CONTROLLER in refusal(server.post(user, "registered-models/alias", **alias_body))
    assert server.move("grace", model, version, "Production").status_code == 200
    server.made(CONTROLLER, "registered-models/alias", name=model, alias="champion", version=version)
    gone = {"name": model, "alias": "champion"}
    refusal(server.call("ada", "DELETE", "mlflow/registered-models/alias", json=gone))
    assert server.call(CONTROLLER, "DELETE", "mlflow/registered-models/alias", json=gone).status_code == 200
    moves = [
        (event.actor, event.body["from"], event.body["version"])
        for event in server.events(model, EventKind.ALIAS_MOVED)
    ]
    assert moves == [(CONTROLLER, None, version), (CONTROLLER, version, None)]


def test_forged_tags_are_stripped_and_later_ones_refused(server: "Server", model: str) -> None:
    forged = [{"key": "flywheel.author", "value": "grace"}, {"key": "Flywheel.digest", "value": "x"}]
    version = server.register(model, tags=[*forged, {"key": "team", "value": "ops"}])
    tags = server.version(model, version)["tags"]
    assert tags.pop("flywheel.digest").startswith("sha256:")  # the server's own, of the bytes
    assert tags == {"flywheel.author": "ada", "team": "ops"}
    tag = {"name": model, "version": version, "key": "flywheel.author", "value": "grace"}
    refusal(server.post("ada", "model-versions/set-tag", **tag))
    refusal(server.post("admin", "model-versions/set-tag", **tag))
    refusal(server.call("ada", "DELETE", "mlflow/model-versions/delete-tag", json=tag))
    refusal(server.post("ada", "registered-models/set-tag", name=model, key="flywheel.x", value="1"))


def test_a_copy_has_its_copier_as_author(server: "Server", model: str) -> None:
    version, target = server.register(model), server.model("grace")
    body = {
        "name": target,
        "source": f"models:/{model}/{version}",
        "tags": [{"key": "flywheel.author", "value": "ada"}],
    }
    copy = server.made("grace", "model-versions/create", **body)["model_version"]["version"]
    assert server.version(target, copy)["tags"]["flywheel.author"] == "grace"
    assert "four eyes" in refusal(server.move("grace", target, copy, "Production"))


def test_a_source_outside_the_servers_store_cannot_be_approved(server: "Server", model: str) -> None:
    run, _ = server.run()
    body = {"name": model, "source": "s3://somewhere/else", "run_id": run}
    version = server.made("ada", "model-versions/create", **body)["model_version"]["version"]
    sentence = refusal(server.move("grace", model, version, "Production"))
    assert "'s3://somewhere/else' is not in this server's artifact store" in sentence


def test_what_is_in_production_is_neither_deleted_nor_renamed(server: "Server", model: str) -> None:
    version = server.register(model)
    server.move("grace", model, version, "Production")
    body = {"name": model, "version": version}
    refusal(server.call("ada", "DELETE", "mlflow/model-versions/delete", json=body))
    refusal(server.call("ada", "DELETE", "mlflow/registered-models/delete", json={"name": model}))
    refusal(server.post("ada", "registered-models/rename", name=model, new_name=f"{model}-new"))
    server.move("grace", model, version, "Archived")
    assert server.call("ada", "DELETE", "mlflow/model-versions/delete", json=body).status_code == 200
    assert server.events(model)[-1].body["to"] == "Deleted_Internal"
    assert server.call("ada", "DELETE", "mlflow/registered-models/delete", json={"name": model}).status_code == 200


def test_a_renamed_model_shows_where_its_history_is(server: "Server", model: str) -> None:
    version, renamed = server.register(model), f"{model}-new"
    server.move("ada", model, version, "Production")
    server.made("ada", "registered-models/rename", name=model, new_name=renamed)
    for name in (model, renamed):
        last = server.events(name)[-1]
        assert (last.kind, last.actor) == (EventKind.MODEL_RENAMED, "ada")
        assert (last.body["from"], last.body["to"]) == (model, renamed)


def test_a_model_made_anew_inherits_no_approval_from_its_name(server: "Server", model: str) -> None:
    version = server.register(model)
    server.move("grace", model, version, "Production")
    server.move("grace", model, version, "Archived")
    assert server.call("ada", "DELETE", "mlflow/registered-models/delete", json={"name": model}).status_code == 200
    server.made("ada", "registered-models/create", name=model)
    assert server.register(model) == version
    anew = server.version(model, version)
    assert anew["current_stage"] == "None"
    moves = [event.body["to"] for event in server.events(model, EventKind.TRANSITION)]
    assert moves == ["Production", "Archived", "Deleted_Internal"]
    assert approvals(server.events(model)) == {}
    assert "four eyes" in refusal(server.move("ada", model, version, "Production"))


def test_people_and_robot_add_versions_to_each_others_models(server: "Server") -> None:
    for owner, other in [("ada", TRAINING), (TRAINING, "ada")]:
        name = server.model(owner)
        version = server.register(name, other)
        assert server.version(name, version)["tags"]["flywheel.author"] == other


def test_conflicting_transitions_leave_a_whole_chain_that_tells_the_stage(server: "Server", model: str) -> None:
    version = server.register(model)
    asks = [("grace", "Production"), (CONTROLLER, "Archived"), ("ada", "Production"), ("ada", "Staging")] * 5
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda ask: server.move(ask[0], model, version, ask[1]).status_code, asks))
    assert set(answers) <= {200, 403}
    moves = server.events(model, EventKind.TRANSITION)
    assert len(moves) == answers.count(200)
    assert len(server.events(model, EventKind.TRANSITION_REFUSED)) == answers.count(403)
    told = ["None", *(event.body["to"] for event in moves)]
    assert [event.body["from"] for event in moves] == told[:-1]
    assert server.version(model, version)["current_stage"] == told[-1]
    assert server.trail_is_whole()


def test_sql_that_goes_round_the_gate_cannot_change_a_stage(stack: Settings, server: "Server", model: str) -> None:
    version = server.register(model)
    engine = sa.create_engine(secrets(stack).databases["server"])
    update = sa.text("UPDATE model_versions SET current_stage = 'Production' WHERE name = :name")
    with pytest.raises(sa.exc.DBAPIError, match="without an event"), engine.begin() as connection:
        connection.execute(update, {"name": model})
    engine.dispose()
    assert server.version(model, version)["current_stage"] == "None"


@pytest.fixture
def store(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator["GateStore"]:
    """The store in this process, as ada, on the stack's database."""
    flask, gate = import_module("flask"), import_module("registry.store.gate")
    monkeypatch.setenv("FLYWHEEL_POLICY", str(stack.root / "policy.yaml"))
    with flask.Flask("test").test_request_context():
        flask.g.mlflow_authenticated_user = "ada"
        made = gate.GateStore("flywheel+" + secrets(stack).databases["server"])
        yield made
        made.engine.dispose()


def test_a_commit_that_fails_leaves_neither_stage_nor_event(
    store: "GateStore", server: "Server", model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = server.register(model)
    append = events.append

    def lie(connection: sa.Connection, kind: EventKind, subject: str, actor: str, body: dict[str, Any]) -> None:
        append(connection, kind, subject, actor, {**body, "to": "Archived"})

    monkeypatch.setattr(events, "append", lie)
    with pytest.raises(import_module("mlflow.exceptions").MlflowException, match="without an event"):
        store.transition_model_version_stage(model, version, "Staging", False)
    monkeypatch.undo()
    assert server.events(model, EventKind.TRANSITION) == []
    assert server.version(model, version)["current_stage"] == "None"
    assert server.trail_is_whole()


def test_a_caller_without_login_is_refused_by_the_store_itself(store: "GateStore") -> None:
    del import_module("flask").g.mlflow_authenticated_user
    with pytest.raises(import_module("mlflow.exceptions").MlflowException, match="without a login"):
        store.create_registered_model("never")


def download(server: "Server", uri: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", server.known.users["ada"])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.where.mlflow_url)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", server.where.mlflow_url)
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    return Path(import_module("mlflow.artifacts").download_artifacts(uri, dst_path=str(folder)))
