"""Versions and models: made with forgeries, from elsewhere, copied, renamed, deleted and made anew."""

from typing import TYPE_CHECKING, Any

import pytest

from flywheel.events import EventKind
from flywheel.identities import CONTROLLER
from tests.registry.doors.conftest import ADMINISTRATOR, AUTHOR, EVERYBODY, REVIEWER, STRANGER, Knock, approve, stage

if TYPE_CHECKING:
    from tests.registry.conftest import Server

CREATE = "/api/2.0/mlflow/model-versions/create"


@pytest.fixture(scope="module")
def two_runs(server: "Server") -> tuple[tuple[str, str], tuple[str, str]]:
    """Two runs, each with its folder."""
    return server.run(), server.run()


@pytest.mark.parametrize(
    "key", ["flywheel.author", "Flywheel.Author", "ｆlywheel.author", " flywheel.digest", "flywheel."]
)
def test_a_version_made_with_the_servers_tags_does_not_have_them(server: "Server", model: str, key: str) -> None:
    version = server.register(model, AUTHOR, tags=[{"key": key, "value": "grace"}, {"key": "team", "value": "ops"}])
    assert server.version(model, version)["tags"] | {"team": "ops"} == server.version(model, version)["tags"]
    assert server.version(model, version)["tags"]["flywheel.author"] == AUTHOR
    assert "grace" not in server.version(model, version)["tags"].values()


@pytest.mark.parametrize(
    "forged",
    [
        {"current_stage": "Production"},
        {"currentStage": "Production"},
        {"stage": "Production"},
        {"user_id": "grace"},
        {"aliases": ["champion"]},
        {"status": "READY", "version": "99"},
    ],
)
def test_a_version_is_born_in_no_stage_and_with_no_alias(server: "Server", model: str, forged: dict[str, Any]) -> None:
    version = server.register(model, AUTHOR, **forged)
    born = server.version(model, version)
    assert (born["current_stage"], born.get("aliases", []), version) == ("None", [], "1")
    assert born["tags"]["flywheel.author"] == AUTHOR


@pytest.mark.parametrize("user", [AUTHOR, REVIEWER, ADMINISTRATOR])
def test_who_registers_is_the_author(server: "Server", model: str, user: str) -> None:
    version = server.register(model, user)
    assert server.version(model, version)["tags"]["flywheel.author"] == user
    assert server.move(user, model, version, "Production").status_code == 403


def test_a_stranger_registers_nothing(knock: Knock, model: str) -> None:
    assert knock(STRANGER, "POST", CREATE, {"name": model, "source": "mlflow-artifacts:/1/x"}).status == 401


@pytest.mark.parametrize(
    "source",
    [
        "s3://artifacts/1/model",
        "http://127.0.0.1:9/model",
        "https://elsewhere.example/model",
        "gs://bucket/model",
        "dbfs:/model",
        "ftp://elsewhere.example/model",
    ],
)
def test_what_lies_elsewhere_can_be_registered_and_never_approved(
    server: "Server", model: str, two_runs: tuple[tuple[str, str], tuple[str, str]], source: str
) -> None:
    (run, _), _ = two_runs
    made = server.post(AUTHOR, "model-versions/create", name=model, source=source, run_id=run)
    if made.status_code != 200:  # MLflow knows better already
        assert made.status_code in {400, 403}
        return
    refused = server.move(REVIEWER, model, "1", "Production")
    assert refused.status_code == 403
    assert "is not in this server's artifact store" in refused.json()["message"]
    assert stage(server, model, "1") == "None"


@pytest.mark.parametrize(
    "source",
    [
        "file:///etc",
        "/etc/passwd",
        "mlflow-artifacts:/{folder}/../../x",
        "mlflow-artifacts:/{folder}/%2e%2e/x",
        "mlflow-artifacts:/{other}",
        "mlflow-artifacts://elsewhere:5000/{folder}",
        "mlflow-artifacts:/",
        "runs:/{otherrun}/model",
        "runs://elsewhere/{run}/model",
        "models:/no-such-model/1",
        "models:/m-00000000000000000000000000000000",
        "models://elsewhere/{model}/1",
    ],
)
def test_a_source_that_is_not_the_runs_own_is_refused(
    server: "Server", model: str, two_runs: tuple[tuple[str, str], tuple[str, str]], source: str
) -> None:
    (run, folder), (other_run, other) = two_runs
    named = source.format(folder=folder, other=other, run=run, otherrun=other_run, model=model)
    for user in (AUTHOR, REVIEWER, ADMINISTRATOR):
        answer = server.post(user, "model-versions/create", name=model, source=named, run_id=run)
        assert answer.status_code in {400, 403, 404}, answer.text
    assert server.events(model, EventKind.VERSION_CREATED) == []


@pytest.mark.parametrize(
    "spelling", ["{folder}/", "/{folder}", "{parent}//model", "{parent}/%6dodel", "{parent}/./model"]
)
def test_a_folder_in_another_spelling_is_frozen_as_itself(server: "Server", model: str, spelling: str) -> None:
    run, folder = server.run()
    parent = folder.removesuffix("/model")
    source = "mlflow-artifacts:/" + spelling.format(folder=folder, parent=parent)
    made = server.post(AUTHOR, "model-versions/create", name=model, source=source, run_id=run)
    if made.status_code == 200:
        for user in (AUTHOR, ADMINISTRATOR):
            path = f"mlflow-artifacts/artifacts/{folder}/MLmodel"
            assert server.call(user, "PUT", path, data=b"other bytes").status_code == 403
    else:
        assert made.status_code == 400


def test_a_copy_is_its_copiers_work_and_brings_no_approval_along(server: "Server", model: str) -> None:
    version = server.register(model, AUTHOR)
    approve(server, model, version)
    for user in (AUTHOR, REVIEWER, ADMINISTRATOR):
        target = server.model(user)
        body = {
            "name": target,
            "source": f"models:/{model}/{version}",
            "tags": [{"key": "flywheel.author", "value": "x"}],
        }
        copy = str(server.made(user, "model-versions/create", **body)["model_version"]["version"])
        made = server.version(target, copy)
        assert (made["current_stage"], made["tags"]["flywheel.author"]) == ("None", user)
        assert made["tags"].get("flywheel.digest") != server.version(model, version)["tags"]["flywheel.digest"]
        assert server.move(user, target, copy, "Production").status_code == 403
        assert server.move(AUTHOR, target, copy, "Production").status_code == 403
    assert server.call(STRANGER, "POST", "mlflow/model-versions/create", json=body).status_code == 401


@pytest.mark.parametrize("how", ["copy", "run"])
def test_whoever_made_the_bytes_does_not_approve_them_when_another_registers_them(
    server: "Server", model: str, how: str
) -> None:
    run, folder = server.run(REVIEWER)
    body = {"name": model, "source": f"mlflow-artifacts:/{folder}", "run_id": run}
    if how == "copy":
        made = server.made(REVIEWER, "model-versions/create", **body)["model_version"]["version"]
        body = {"name": server.model(AUTHOR), "source": f"models:/{model}/{made}"}
    version = str(server.made(AUTHOR, "model-versions/create", **body)["model_version"]["version"])
    assert server.move(REVIEWER, body["name"], version, "Production").status_code == 403
    assert stage(server, body["name"], version) == "None"


def test_whoever_made_a_logged_model_does_not_approve_it_whatever_run_it_claims(server: "Server", model: str) -> None:
    run, folder = server.run(AUTHOR)
    experiment = folder.split("/")[0]
    asked = {"experiment_id": experiment, "name": "model", "source_run_id": run}
    forged = {"params": [{"key": "flywheel.made_by", "value": AUTHOR}]}
    assert server.post(REVIEWER, "logged-models", **asked, **forged).status_code == 403
    made = server.made(REVIEWER, "logged-models", **asked)["model"]["info"]
    assert not server.post(REVIEWER, f"logged-models/{made['model_id']}/params", **forged).ok
    place = made["artifact_uri"].removeprefix("mlflow-artifacts:/")
    answer = server.call(REVIEWER, "PUT", f"mlflow-artifacts/artifacts/{place}/MLmodel", data=b"flavors: {}")
    assert answer.status_code == 200, answer.text
    body = {"name": model, "source": f"models:/{made['model_id']}", "model_id": made["model_id"]}
    version = str(server.made(AUTHOR, "model-versions/create", **body)["model_version"]["version"])
    refused = server.move(REVIEWER, model, version, "Production")
    assert refused.status_code == 403
    assert "grace contributed to" in refused.json()["message"]


def test_a_runs_user_is_the_login_that_started_it(server: "Server") -> None:
    run, _ = server.run(REVIEWER, user_id=AUTHOR)
    found = server.call(AUTHOR, "GET", f"mlflow/runs/get?run_id={run}").json()["run"]["info"]
    assert found["user_id"] == REVIEWER


@pytest.mark.parametrize("user", EVERYBODY)
def test_nobody_deletes_or_renames_what_is_in_production(server: "Server", model: str, user: str | None) -> None:
    version = server.register(model, AUTHOR)
    approve(server, model, version)
    expected = 401 if user is None else 403
    one = {"name": model, "version": version}
    for twin in ("/api", "/ajax-api"):
        for method, path, body in [
            ("DELETE", "model-versions/delete", one),
            ("DELETE", "registered-models/delete", {"name": model}),
            ("POST", "registered-models/rename", {"name": model, "new_name": f"{model}-new"}),
        ]:
            answer = server.call(user, method, f"{twin}/2.0/mlflow/{path}", json=body)
            assert answer.status_code == expected, answer.text
    assert stage(server, model, version) == "Production"


def test_a_deleted_versions_number_is_not_given_to_another(server: "Server", model: str) -> None:
    first, last = server.register(model, AUTHOR), server.register(model, AUTHOR)
    approve(server, model, last, then_archive=True)
    approved = server.version(model, last)["tags"]["flywheel.digest"]
    gone = {"name": model, "version": last}
    assert server.call(AUTHOR, "DELETE", "mlflow/model-versions/delete", json=gone).status_code == 200
    anew = server.register(model, AUTHOR)
    assert anew not in {first, last}
    assert server.version(model, anew)["tags"].get("flywheel.digest") != approved
    for user in (AUTHOR, REVIEWER, CONTROLLER, ADMINISTRATOR):
        assert server.move(user, model, last, "Production").status_code in {400, 403, 404}
    assert server.trail_is_whole()


@pytest.mark.parametrize("how", ["delete", "rename"])
def test_a_model_of_a_name_that_was_free_inherits_nothing(server: "Server", model: str, how: str) -> None:
    version = server.register(model, AUTHOR)
    approve(server, model, version, then_archive=True)
    approved = server.version(model, version)["tags"]["flywheel.digest"]
    if how == "delete":
        gone = server.call(AUTHOR, "DELETE", "mlflow/registered-models/delete", json={"name": model})
        assert gone.status_code == 200
    else:
        server.made(AUTHOR, "registered-models/rename", name=model, new_name=f"{model}-old")
    server.made(AUTHOR, "registered-models/create", name=model)
    assert server.register(model, AUTHOR) == version
    anew = server.version(model, version)
    assert (anew["current_stage"], anew["tags"]["flywheel.author"]) == ("None", AUTHOR)
    assert anew["tags"].get("flywheel.digest") != approved
    for user in (AUTHOR, ADMINISTRATOR):
        assert server.move(user, model, version, "Production").status_code == 403
    alias = {"name": model, "alias": "champion", "version": version}
    assert server.post(AUTHOR, "registered-models/alias", **alias).status_code == 403


def test_a_renamed_model_takes_its_stages_along_and_no_approval(server: "Server", model: str) -> None:
    version, renamed = server.register(model, AUTHOR), f"{model}-new"
    approve(server, model, version, then_archive=True)
    server.made(AUTHOR, "registered-models/rename", name=model, new_name=renamed)
    assert stage(server, renamed, version) == "Archived"
    for user in (AUTHOR, ADMINISTRATOR):
        assert server.move(user, renamed, version, "Production").status_code == 403


def test_a_renamed_model_takes_its_objections_and_its_makers_along(server: "Server", model: str) -> None:
    run, folder = server.run("alan")
    body = {"name": model, "source": f"mlflow-artifacts:/{folder}", "run_id": run}
    version = str(server.made(AUTHOR, "model-versions/create", **body)["model_version"]["version"])
    said = {"decision": "reject", "comment": "No."}
    assert server.call(REVIEWER, "POST", f"/flywheel/api/review/{model}/{version}", json=said).status_code == 200
    first, last = f"{model}-a", f"{model}-b"
    for before, after in ((model, first), (first, last)):
        server.made(AUTHOR, "registered-models/rename", name=before, new_name=after)
    message = server.move("alan", last, version, "Production").json()["message"]
    assert "alan contributed to" in message
    assert "ejected by grace" in message


def test_a_model_that_takes_the_name_of_a_deleted_one_has_its_own_makers(server: "Server", model: str) -> None:
    gone = server.model()
    server.register(gone, AUTHOR)
    assert server.call(AUTHOR, "DELETE", "mlflow/registered-models/delete", json={"name": gone}).status_code == 200
    run, folder = server.run(REVIEWER)
    body = {"name": model, "source": f"mlflow-artifacts:/{folder}", "run_id": run}
    version = str(server.made(AUTHOR, "model-versions/create", **body)["model_version"]["version"])
    server.made(AUTHOR, "registered-models/rename", name=model, new_name=gone)
    assert "grace contributed to" in server.move(REVIEWER, gone, version, "Production").json()["message"]
    assert server.move("alan", gone, version, "Production").status_code == 200


def test_descriptions_are_free_and_are_all_that_an_update_changes(server: "Server", model: str) -> None:
    version = server.register(model, AUTHOR)
    body = {
        "name": model,
        "version": version,
        "description": "Better",
        "current_stage": "Production",
        "source": "s3://x",
    }
    before = server.version(model, version)
    assert server.call(AUTHOR, "PATCH", "mlflow/model-versions/update", json=body).status_code == 200
    after = server.version(model, version)
    changed = {key for key in after if after[key] != before.get(key)}
    assert changed == {"description", "last_updated_timestamp"}
    assert server.call(STRANGER, "PATCH", "mlflow/model-versions/update", json=body).status_code == 401
