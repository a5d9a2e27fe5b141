"""Single sign-on: settings that are checked, a door that believes one proxy alone, the whole way on a real server."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from flywheel.errors import UsageError
from flywheel.events import EventKind
from registry.access.sso import SECRET_HEADER, VERIFIED_HEADER, SsoDoor, SsoSettings, sso_settings, verified_user
from tests.registry.access.conftest import HEADER

if TYPE_CHECKING:
    from tests.registry.access.conftest import Apart

SECRET = "s" * 40
FILE = "mlflow-artifacts/artifacts/0/sso-run/artifacts/notes.txt"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "secret").write_text(SECRET + "\n")
    return {
        "FLYWHEEL_SSO_HEADER": "X-Forwarded-User",
        "FLYWHEEL_SSO_PROXIES": "10.0.0.5/32, fd00::/8",
        "FLYWHEEL_SSO_SECRET_FILE": str(tmp_path / "secret"),
    }


@pytest.fixture
def settings(environment: dict[str, str]) -> SsoSettings:
    found = sso_settings(environment)
    assert found is not None
    return found


def test_it_is_off_unless_a_header_is_named(environment: dict[str, str]) -> None:
    assert sso_settings({}) is None
    assert sso_settings(environment | {"FLYWHEEL_SSO_HEADER": " "}) is None
    assert "s" * 40 not in repr(sso_settings(environment))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("FLYWHEEL_SSO_HEADER", "X Forwarded User", "cannot name a user"),
        ("FLYWHEEL_SSO_HEADER", "Authorization", "cannot name a user"),
        ("FLYWHEEL_SSO_HEADER", SECRET_HEADER, "cannot name a user"),
        ("FLYWHEEL_SSO_PROXIES", "", "FLYWHEEL_SSO_PROXIES is empty"),
        ("FLYWHEEL_SSO_PROXIES", "proxy.example.org", "FLYWHEEL_SSO_PROXIES is wrong"),
        ("FLYWHEEL_SSO_PROXIES", "10.0.0.5/8", "FLYWHEEL_SSO_PROXIES is wrong"),
        ("FLYWHEEL_SSO_PROXIES", "0.0.0.0/0", "whole internet"),
        ("FLYWHEEL_SSO_SECRET_FILE", "", "is missing"),
        ("FLYWHEEL_SSO_SECRET_FILE", "/nowhere/at/all", "cannot be read"),
    ],
)
def test_wrong_settings_are_said_at_the_start(environment: dict[str, str], name: str, value: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        sso_settings(environment | {name: value})


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 40, "ä".encode() * 40])
def test_a_secret_that_is_none_is_said_at_the_start(environment: dict[str, str], content: bytes) -> None:
    Path(environment["FLYWHEEL_SSO_SECRET_FILE"]).write_bytes(content)
    with pytest.raises(UsageError, match="FLYWHEEL_SSO_SECRET_FILE"):
        sso_settings(environment)


def through(
    door_settings: SsoSettings | None, client: tuple[str, int] | None, *headers: tuple[str, str]
) -> tuple[int, dict[str, str]]:
    """Send a request through the door; return the status and the headers that the server behind it sees."""
    seen: dict[str, str] = {}
    status = 0

    async def server(scope: Scope, receive: Receive, send: Send) -> None:
        seen.update({name.decode(): value.decode() for name, value in scope["headers"]})
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)

    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": raw, "client": client}
    asyncio.run(SsoDoor(server, door_settings)(scope, receive, send))
    return status, seen


PROXY = ("10.0.0.5", 40000)
USER, PROOF = ("X-Forwarded-User", "grace"), (SECRET_HEADER, SECRET)


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.access.sso.in_policy", lambda user: None if user == "grace" else "not in the policy")


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("client", [PROXY, ("::ffff:10.0.0.5", 40000), ("fd00::7", 40000)])
def test_the_proxys_word_is_believed_and_its_headers_go_no_further(
    settings: SsoSettings, client: tuple[str, int]
) -> None:
    status, seen = through(settings, client, USER, PROOF)
    assert status == 200
    assert verified_user(seen) == "grace"
    assert not {"x-forwarded-user", SECRET_HEADER} & set(seen)


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("client", "headers"),
    [
        (("10.0.0.6", 40000), [USER, PROOF]),
        (("::1", 40000), [USER, PROOF]),
        (None, [USER, PROOF]),
        (("testclient", 40000), [USER, PROOF]),
        (PROXY, [USER]),
        (PROXY, [USER, (SECRET_HEADER, "wrong" * 8)]),
        (PROXY, [USER, PROOF, PROOF]),
        (PROXY, [USER, USER, PROOF]),
        (PROXY, [USER, ("X-Forwarded-User", "ada"), PROOF]),
        (PROXY, [("X-Forwarded-User", ""), PROOF]),
        (PROXY, [("X-Forwarded-User", "mallory"), PROOF]),
        # Somebody says that they came through the proxy:
        (("10.0.0.6", 40000), [USER, PROOF, ("X-Forwarded-For", "10.0.0.5")]),
        # uvicorn has put that in the peer's place:
        (("10.0.0.5", 0), [USER, PROOF, ("X-Forwarded-For", "10.0.0.5")]),
        (("10.0.0.5", 40000), [USER, ("X-Forwarded-For", "10.0.0.5")]),
    ],
)
def test_anybody_elses_word_is_refused(
    settings: SsoSettings, client: tuple[str, int] | None, headers: list[tuple[str, str]]
) -> None:
    assert through(settings, client, *headers) == (401, {})


@pytest.mark.parametrize("configured", [True, False])
def test_nobody_can_say_what_the_door_says_to_the_login(settings: SsoSettings, configured: bool) -> None:
    forged = (VERIFIED_HEADER, "anything grace")
    status, seen = through(settings if configured else None, PROXY, forged)
    assert status == 200
    assert VERIFIED_HEADER not in seen
    assert verified_user({VERIFIED_HEADER: "anything grace"}) is None
    assert verified_user({}) is None


def test_while_it_is_off_the_header_means_nothing(settings: SsoSettings) -> None:
    status, seen = through(None, PROXY, USER, PROOF)
    assert status == 200
    assert verified_user(seen) is None


def test_who_the_proxy_names_is_let_in_on_flasks_and_on_native_routes(apart: "Apart") -> None:
    assert apart.through_proxy("grace", "GET", "mlflow/users/current").json()["user"]["username"] == "grace"
    assert apart.through_proxy("ada", "PUT", FILE, data=b"by sso").status_code == 200
    assert apart.through_proxy("vera", "GET", FILE).content == b"by sso"
    assert apart.through_proxy("vera", "PUT", FILE, data=b"x").status_code == 403


def test_somebody_new_gets_an_account_that_no_password_opens(apart: "Apart") -> None:
    answer = apart.through_proxy("nora", "POST", "mlflow/experiments/create", json={"name": "by-nora"})
    assert answer.status_code == 200, answer.text
    told = apart.trail(EventKind.ACCOUNT_CHANGED, "account:nora")
    assert ("nora", "created") in [(event.actor, event.body["what"]) for event in told]
    assert apart.each_worker(lambda: apart.through_proxy("nora", "GET", "mlflow/users/current").status_code) == {200}


def test_who_the_policy_does_not_name_is_refused_and_gets_no_account(apart: "Apart") -> None:
    answer = apart.through_proxy("mallory", "GET", "mlflow/users/current")
    assert (answer.status_code, "not in the policy" in answer.json()["message"]) == (401, True)
    assert apart.trail(EventKind.ACCOUNT_CHANGED, "account:mallory") == []


@pytest.mark.parametrize("path", ["mlflow/users/current", FILE, "/flywheel/review/"])
def test_the_header_without_the_secret_is_refused_even_with_a_good_password(apart: "Apart", path: str) -> None:
    assert apart.call("ada", "GET", path, headers={HEADER: "grace"}).status_code == 401
    forwarded = {HEADER: "grace", "X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"}
    assert apart.call(None, "GET", path, headers=forwarded).status_code == 401


def test_a_peer_behind_x_forwarded_for_is_still_the_proxy(apart: "Apart") -> None:
    answer = apart.through_proxy("grace", "GET", "mlflow/users/current", headers={"X-Forwarded-For": "203.0.113.9"})
    assert answer.status_code == 200


def test_passwords_and_tokens_work_beside_it(apart: "Apart") -> None:
    assert apart.call("ada", "GET", "mlflow/users/current").status_code == 200
    body = {"name": "x", "scopes": "read"}
    token = apart.through_proxy("grace", "POST", "/flywheel/api/tokens", json=body).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    # What a token may not do, it may not do through the proxy either.
    assert apart.through_proxy("grace", "GET", "mlflow/users/current", headers=headers).status_code == 200
    denied = apart.through_proxy("grace", "POST", "mlflow/experiments/create", json={"name": "x"}, headers=headers)
    assert denied.status_code == 403
