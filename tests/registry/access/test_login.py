"""Service tokens on a real server with two workers: what they open, and that they stop when they should."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import requests

from flywheel.events import EventKind
from flywheel.identities import ADMIN, AGENTS, TRAINING
from flywheel.rest import RefusedError
from flywheel.tracking import Tracking
from registry.access.tokens import issue
from registry.doors.census import Area

if TYPE_CHECKING:
    from tests.registry.access.conftest import Apart

Issue = Callable[..., str]
FILE = "mlflow-artifacts/artifacts/0/token-run/artifacts/notes.txt"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_token_works_on_flasks_and_on_native_routes_as_its_user(apart: "Apart", token_of: Issue) -> None:
    headers = bearer(token_of("ada", "tracking"))
    assert apart.call(None, "PUT", FILE, data=b"written", headers=headers).status_code == 200
    assert apart.call(None, "GET", FILE, headers=headers).content == b"written"
    name = f"by-token-{uuid.uuid4().hex[:8]}"
    assert apart.call(None, "POST", "mlflow/experiments/create", json={"name": name}, headers=headers).ok
    assert apart.call(None, "GET", "mlflow/users/current", headers=headers).json()["user"]["username"] == "ada"


def test_a_registration_by_token_has_the_tokens_user_as_its_author(apart: "Apart", token_of: Issue) -> None:
    model, headers = apart.model(), bearer(token_of("sam", "tracking", "registry"))
    run = apart.call(None, "POST", "mlflow/runs/create", json={"experiment_id": "0"}, headers=headers).json()["run"]
    folder = f"0/{run['info']['run_id']}/artifacts/model"
    assert apart.call(None, "PUT", f"mlflow-artifacts/artifacts/{folder}/MLmodel", data=b"x", headers=headers).ok
    body = {"name": model, "source": f"mlflow-artifacts:/{folder}", "run_id": run["info"]["run_id"]}
    made = apart.call(None, "POST", "mlflow/model-versions/create", json=body, headers=headers)
    assert made.status_code == 200, made.text
    tags = {tag["key"]: tag["value"] for tag in made.json()["model_version"]["tags"]}
    assert tags["flywheel.author"] == "sam"


@pytest.mark.parametrize(
    ("path", "needs"),
    [
        ("mlflow/experiments/create", "tracking"),
        ("mlflow/registered-models/create", "registry"),
        ("mlflow/model-versions/transition-stage", "review"),
        ("/ajax-api/2.0/mlflow/users/create", "admin"),
    ],
)
def test_a_token_without_the_scope_is_refused_and_told_which(
    apart: "Apart", token_of: Issue, path: str, needs: str
) -> None:
    answer = apart.call(None, "POST", path, json={"name": "x"}, headers=bearer(token_of("ada", "read")))
    assert answer.status_code == 403
    assert answer.json()["message"] == (
        f"This service token has scope read, and this request needs '{needs}'. Issue one that has."
    )


def test_a_token_has_no_more_rights_than_its_user_has_now(apart: "Apart", token_of: Issue) -> None:
    headers = bearer(token_of(AGENTS, "read", by=ADMIN))
    assert apart.call(None, "GET", "mlflow/registered-models/search", headers=headers).status_code == 200
    asked = {"name": "x", "user": AGENTS, "scopes": "registry"}
    refused = apart.call(ADMIN, "POST", "/flywheel/api/tokens", json=asked)
    assert (refused.status_code, refused.json()["message"]) == (
        403,
        f"A token of '{AGENTS}' cannot have scope 'registry': {AGENTS} has predict, read. Leave it out.",
    )


def test_a_token_neither_makes_tokens_nor_sets_passwords(apart: "Apart", token_of: Issue) -> None:
    headers = bearer(token_of("ada", "tracking", "registry", "review"))
    body = {"name": "child", "scopes": "review"}
    child = apart.call(None, "POST", "/flywheel/api/tokens", json=body, headers=headers)
    changed = apart.call(
        None, "PATCH", "mlflow/users/update-password", json={"username": "ada", "password": "x" * 20}, headers=headers
    )
    assert (child.status_code, changed.status_code) == (403, 403)
    assert "not a token's to change" in child.json()["message"]


def test_a_revoked_token_ends_at_once_in_each_worker(apart: "Apart", token_of: Issue) -> None:
    token = token_of("ada", "tracking")
    ask = lambda: apart.call(None, "GET", "mlflow/users/current", headers=bearer(token)).status_code  # noqa: E731
    assert apart.each_worker(ask) == {200}
    assert apart.call("ada", "DELETE", f"/flywheel/api/tokens/{token.split('_')[1]}").status_code == 200
    assert apart.each_worker(ask) == {401}
    answer = apart.call(None, "GET", "mlflow/users/current", headers=bearer(token))
    assert answer.json()["message"].endswith("is revoked. Issue another.")
    native = apart.call(None, "GET", FILE, headers=bearer(token))
    assert (native.status_code, native.json()["error_code"]) == (401, "UNAUTHENTICATED")


def test_an_expired_token_is_told_so(apart: "Apart", token_of: Issue) -> None:
    past = datetime.now(UTC) - timedelta(days=8)
    with apart.engine.begin() as connection:
        _, text = issue(connection, "ada", user="ada", name="old", scopes=[Area.READ], days=7, now=past)
    answer = apart.call(None, "GET", "mlflow/users/current", headers=bearer(text))
    assert answer.status_code == 401
    assert "is expired" in answer.json()["message"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fwt_", "malformed"),
        ("fwt_0123456789ab_short", "malformed"),
        ("eyJhbGciOiJIUzI1NiJ9.e30.x", "malformed"),
        ("fwt_0123456789ab_" + "0" * 64, "not known here"),
    ],
)
def test_a_token_that_is_none_gets_401_with_a_sentence(apart: "Apart", text: str, says: str) -> None:
    answer = apart.call(None, "GET", "mlflow/users/current", headers=bearer(text))
    assert answer.status_code == 401
    assert says in answer.json()["message"]


def test_the_right_id_with_a_wrong_secret_is_as_unknown_as_a_wrong_id(apart: "Apart", token_of: Issue) -> None:
    number = token_of("ada", "read").split("_")[1]
    answer = apart.call(None, "GET", "mlflow/users/current", headers=bearer(f"fwt_{number}_{'0' * 64}"))
    assert answer.json()["message"] == "This service token is not known here. Issue another."


def test_a_token_also_serves_as_the_password_of_its_own_user_alone(apart: "Apart", token_of: Issue) -> None:
    token, url = token_of("ada", "read"), f"{apart.url}/api/2.0/mlflow/users/current"
    assert requests.get(url, auth=("ada", token), timeout=30).status_code == 200
    other = requests.get(url, auth=("grace", token), timeout=30)
    assert (other.status_code, "not 'grace''s" in other.json()["message"]) == (401, True)


def test_the_platforms_own_client_logs_in_by_token(apart: "Apart", token_of: Issue) -> None:
    environment = {"MLFLOW_TRACKING_URI": apart.url, "MLFLOW_TRACKING_TOKEN": token_of(TRAINING, "registry", by=ADMIN)}
    client, model = Tracking.from_login(environment), apart.model()
    client.rest.call("POST", "registered-models/set-tag", name=model, key="k", value="v")
    with pytest.raises(RefusedError, match="needs 'tracking'"):
        client.rest.call("POST", "experiments/create", name="x")
    assert model in client.registered_models()


def test_the_trail_has_the_digest_and_never_the_secret(apart: "Apart", token_of: Issue) -> None:
    token = token_of("ada", "read")
    (event,) = apart.trail(EventKind.TOKEN_ISSUED, f"token:{token.split('_')[1]}")
    assert token.split("_")[2] not in str(event.body)
    assert (event.actor, event.body["user"], event.body["scopes"]) == ("ada", "ada", ["read"])


@pytest.mark.parametrize(
    ("by", "body", "status", "says"),
    [
        (ADMIN, {"user": "grace", "scopes": "read"}, 403, "Nobody may issue tokens for another person"),
        ("ada", {"user": TRAINING, "scopes": "read"}, 403, "may not issue tokens for"),
        ("ada", {"scopes": "everything"}, 400, "Scope 'everything' is not known"),
        ("ada", {"scopes": "own"}, 400, "Scope 'own' is not known"),
        ("ada", {"scopes": " , "}, 400, "needs a scope"),
        ("ada", {"scopes": "admin"}, 403, "cannot have scope 'admin'"),
        ("vera", {"scopes": "tracking"}, 403, "cannot have scope 'tracking'"),
        ("ada", {"scopes": "read", "days": "0"}, 400, "1 to 365 days"),
        ("ada", {"scopes": "read", "days": "366"}, 400, "1 to 365 days"),
        ("ada", {"scopes": "read", "days": "٣"}, 400, "1 to 365 days"),
        ("ada", {"scopes": "read", "days": "9" * 5000}, 400, "1 to 365 days"),
        ("ada", {"scopes": "read", "name": "two\nlines"}, 400, "one line"),
        ("ada", {"scopes": "read", "forever": "yes"}, 400, "not known here"),
    ],
)
def test_wrong_requests_for_a_token_are_refused_with_a_sentence(
    apart: "Apart", by: str, body: dict[str, str], status: int, says: str
) -> None:
    answer = apart.call(by, "POST", "/flywheel/api/tokens", json={"name": "x"} | body)
    assert (answer.status_code, says in answer.json()["message"]) == (status, True), answer.text


def test_people_see_and_revoke_their_own_tokens_and_administrators_all(apart: "Apart", token_of: Issue) -> None:
    mine, theirs = token_of("ada", "read").split("_")[1], token_of("grace", "read").split("_")[1]

    def seen(user: str) -> set[str]:
        return {one["id"] for one in apart.call(user, "GET", "/flywheel/api/tokens").json()["tokens"]}

    assert mine in seen("ada")
    assert theirs not in seen("ada")
    assert {mine, theirs} <= seen(ADMIN)
    assert apart.call("ada", "DELETE", f"/flywheel/api/tokens/{theirs}").status_code == 404
    assert apart.call(ADMIN, "DELETE", f"/flywheel/api/tokens/{theirs}").status_code == 200
    assert "digest" not in apart.call(ADMIN, "GET", "/flywheel/api/tokens").text


def test_the_token_of_a_deleted_account_ends_with_it(apart: "Apart", token_of: Issue) -> None:
    user = f"leaver-{uuid.uuid4().hex[:8]}"
    apart.passwords[user] = "a long enough password"
    body = {"username": user, "password": apart.passwords[user]}
    assert apart.call(ADMIN, "POST", "mlflow/users/create", json=body).status_code == 200
    headers = bearer(token_of(user, "read"))
    assert apart.each_worker(lambda: apart.call(user, "GET", "mlflow/users/current").status_code) == {200}
    assert apart.call(ADMIN, "DELETE", "mlflow/users/delete", json={"username": user}).status_code == 200
    assert apart.each_worker(lambda: apart.call(user, "GET", "mlflow/users/current").status_code) == {401}
    answer = apart.call(None, "GET", "mlflow/users/current", headers=headers)
    assert (answer.status_code, "is gone" in answer.json()["message"]) == (401, True)


def test_mlflows_pages_offer_logout_to_who_came_by_password(apart: "Apart", token_of: Issue) -> None:
    path = "/ajax-api/2.0/mlflow/users/current"
    assert apart.call("ada", "GET", path).json()["is_basic_auth"] is True
    assert apart.call(None, "GET", path, headers=bearer(token_of("ada", "read"))).json()["is_basic_auth"] is False


def test_a_stranger_is_asked_for_a_password(apart: "Apart") -> None:
    for method, path in (("GET", "mlflow/users/current"), ("GET", FILE), ("POST", "/flywheel/api/tokens")):
        answer = apart.call(None, method, path)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
