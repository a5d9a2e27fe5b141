"""A transition to Production in every spelling that a server may read: it is judged by who asks, not by how."""

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.registry.doors.conftest import ADMINISTRATOR, AUTHOR, REVIEWER, STRANGER, Answer, Knock, stage

if TYPE_CHECKING:
    from tests.registry.conftest import Server

PATH = "/api/2.0/mlflow/model-versions/transition-stage"
LARGE = "x" * 5_000_000


def ask(model: str, version: str, target: str = "Production", **more: Any) -> dict[str, Any]:
    return {"name": model, "version": version, "stage": target, "archive_existing_versions": False, **more}


# How a request is written: method, path, body, headers.
Request = tuple[str, str, Any, dict[str, str]]


def spelled(spelling: str, model: str, version: str) -> Request:
    plain = ask(model, version)
    text = json.dumps(plain)
    twice = text.replace('"stage"', '"stage": "Staging", "stage"').encode()
    written: dict[str, Request] = {
        "plain": ("POST", PATH, plain, {}),
        "ajax twin": ("POST", "/ajax-api/2.0/mlflow/model-versions/transition-stage", plain, {}),
        "percent-encoded path": ("POST", PATH.replace("transition-stage", "%74ransition%2Dstage"), plain, {}),
        "path with a query": ("POST", f"{PATH}?stage=Staging&name=other", plain, {}),
        "duplicate key": ("POST", PATH, twice, {}),
        "text within JSON": ("POST", PATH, text, {}),
        "UTF-16": ("POST", PATH, text.encode("utf-16"), {}),
        "camel case": (
            "POST",
            PATH,
            json.loads(text.replace("archive_existing_versions", "archiveExistingVersions")),
            {},
        ),
        "huge body": ("POST", PATH, {**plain, "junk": LARGE}, {}),
        "leading zero": ("POST", PATH, {**plain, "version": f"0{version}"}, {}),
        "digits of another alphabet": ("POST", PATH, {**plain, "version": chr(0xFF10 + int(version))}, {}),
        "slash in code": ("POST", PATH.replace("/mlflow/", "/mlflow%2F"), plain, {}),
        "two slashes before": ("POST", f"/{PATH}", plain, {}),
        "upper case": ("POST", PATH, {**plain, "stage": "PRODUCTION"}, {}),
        "forged user headers": ("POST", PATH, plain, {"X-Forwarded-User": "grace", "X-Remote-User": "grace"}),
    }
    return written[spelling]


READ = (
    "plain",
    "ajax twin",
    "percent-encoded path",
    "path with a query",
    "duplicate key",
    "camel case",
    "huge body",
    "slash in code",
    "two slashes before",
    "upper case",
    "forged user headers",
)
MAY_NOT_BE_READ = ("text within JSON", "UTF-16", "leading zero", "digits of another alphabet")


@pytest.mark.parametrize("spelling", [*READ, *MAY_NOT_BE_READ])
def test_a_transition_is_judged_by_who_asks_however_they_spell_it(
    server: "Server", knock: Knock, model: str, spelling: str
) -> None:
    version = server.register(model, AUTHOR)
    for user in (AUTHOR, ADMINISTRATOR):
        answer = knock(user, *spelled(spelling, model, version))
        assert answer.status in ({403} if spelling in READ else {400, 403, 404}), answer
        if answer.status == 403:
            assert answer.message.startswith("Transition to Production refused: ")
    assert knock(STRANGER, *spelled(spelling, model, version)).status == 401
    assert stage(server, model, version) == "None"
    answer = knock(REVIEWER, *spelled(spelling, model, version))
    if spelling in READ or answer.status == 200:
        assert (answer.status, stage(server, model, version)) == (200, "Production"), answer
        assert server.events(model)[-1].subject == f"{model}/{version}"  # its own number, however it was written
    else:
        assert stage(server, model, version) == "None"


@pytest.fixture(scope="module")
def waiting(server: "Server") -> tuple[str, str]:
    """A version that stays in no stage."""
    model = server.model()
    return model, server.register(model, AUTHOR)


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/api/3.0/mlflow/model-versions/transition-stage", {}),
        ("POST", "/api/1.0/mlflow/model-versions/transition-stage", {}),
        ("POST", f"{PATH}/", {}),
        ("POST", PATH.replace("/mlflow", "//mlflow"), {}),
        ("POST", PATH.replace("/mlflow", "/x/../mlflow"), {}),
        ("POST", PATH.replace("/mlflow", "/./mlflow"), {}),
        ("POST", PATH.upper(), {}),
        ("POST", f"{PATH};x=1", {}),
        ("GET", PATH, {}),
        ("PUT", PATH, {}),
        ("PATCH", PATH, {}),
        ("GET", PATH, {"X-HTTP-Method-Override": "POST"}),
        ("GET", f"{PATH}?_method=POST", {}),
        ("POST", "/api/2.0/mlflow/model-versions/get", {"X-Original-URL": PATH, "X-Rewrite-URL": PATH}),
    ],
)
def test_no_other_path_or_method_leads_to_the_transition(
    server: "Server", knock: Knock, waiting: tuple[str, str], method: str, path: str, headers: dict[str, str]
) -> None:
    model, version = waiting
    for user in (AUTHOR, ADMINISTRATOR, REVIEWER, STRANGER):
        answer = knock(user, method, path, ask(model, version), headers)
        # 307 and 308 send the client to the true path, where it is judged.
        assert answer.status in {307, 308, 400, 401, 403, 404, 405}, answer
    assert stage(server, model, version) == "None"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/x-protobuf", ""])
def test_a_body_of_another_kind_moves_nothing(
    server: "Server", knock: Knock, waiting: tuple[str, str], kind: str
) -> None:
    model, version = waiting
    for user in (AUTHOR, ADMINISTRATOR):
        answer = knock(user, "POST", PATH, ask(model, version), {"Content-Type": kind})
        assert answer.status in {400, 403}
    form = f"name={model}&version={version}&stage=Production".encode()
    assert knock(REVIEWER, "POST", PATH, form, {"Content-Type": "application/x-www-form-urlencoded"}).status == 400
    assert stage(server, model, version) == "None"


@pytest.mark.parametrize("user", [AUTHOR, REVIEWER, ADMINISTRATOR])
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "name"),
        (b"null", "name"),
        (b"{", "is no JSON object"),
        (b"[]", "is no JSON object"),
        (b"7", "is no JSON object"),
        (b'"text"', "is no JSON object"),
        (b'{"name": 5}', "Field 'name' must be text"),
        (b'{"name": {"a": 1}}', "Field 'name' must be text"),
        (b'{"name": "a\\u0000b"}', "holds a NUL character"),
        (b'{"name": ' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_body_that_says_nothing_is_a_bad_request_and_no_fault(
    knock: Knock, user: str, body: bytes, said: str
) -> None:
    answer = knock(user, "POST", PATH, body)
    assert answer.status == 400, answer
    assert said in answer.message


def test_both_spellings_of_a_field_at_once_do_not_hide_the_archiving(
    server: "Server", knock: Knock, model: str
) -> None:
    version = server.register(model, AUTHOR)
    body = {**ask(model, version), "archiveExistingVersions": True}
    answer = knock(REVIEWER, "POST", PATH, body)
    assert answer.status in {400, 403}, answer
    del body["archive_existing_versions"]
    assert "Untick" in knock(REVIEWER, "POST", PATH, body).message
    assert stage(server, model, version) == "None"


@pytest.mark.parametrize("target", ["Live", "", "Deleted_Internal", "None\u0000", "Produсtion"])  # the last in Cyrillic
def test_a_stage_that_does_not_exist_is_named(server: "Server", waiting: tuple[str, str], target: str) -> None:
    model, version = waiting
    for user in (AUTHOR, REVIEWER):
        answer = server.move(user, model, version, target)
        assert answer.status_code == 400, answer.text
    assert stage(server, model, version) == "None"


@pytest.mark.parametrize(("name", "version"), [("no-such-model", "1"), (None, "77"), (None, "one"), (None, "-1")])
def test_what_does_not_exist_is_said(server: "Server", model: str, name: str | None, version: str) -> None:
    for user in (AUTHOR, REVIEWER):
        answer = server.move(user, name or model, version, "Production")
        assert answer.status_code in {400, 403, 404}, answer.text  # 403: MLflow's own, about a model nobody may edit


@pytest.mark.parametrize("login", ["Basic !!!", "Basic " + base64.b64encode(b"grace:wrong").decode()])
def test_a_login_that_is_none_gets_401(server: "Server", knock: Knock, waiting: tuple[str, str], login: str) -> None:
    model, version = waiting
    answer: Answer = knock(STRANGER, "POST", PATH, ask(model, version), {"Authorization": login})
    assert answer.status == 401
    assert stage(server, model, version) == "None"
