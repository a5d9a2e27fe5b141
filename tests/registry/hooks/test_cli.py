"""`flywheel hooks` and its routes on the real stack: a receiver that is stuck is seen, tried out and helped."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from flywheel.events import EventKind
from flywheel.settings import Settings
from tests.registry.hooks.receiver import SECRET, Receiver, verify_mlflow_signature

if TYPE_CHECKING:
    from tests.registry.conftest import Server


class Hook:
    """A webhook of the running stack that hears of new versions."""

    def __init__(self, stack: Settings, server: "Server") -> None:
        self.name = f"hook-{uuid.uuid4().hex[:8]}"
        self.receiver = Receiver().start()
        self._server = server
        secret, self._path = stack.root / f"{self.name}.secret", stack.root / "hooks.yaml"
        secret.write_text(SECRET)
        self._path.write_text(
            f"webhooks: [{{name: {self.name}, url: '{self.receiver.url}/a-token', events: [version.created], "
            f"secret: {{file: '{secret}'}}}}]"
        )

    def row(self) -> dict[str, Any]:
        answer = self._server.call("ada", "GET", "/flywheel/api/hooks")
        assert answer.status_code == 200, answer.text
        assert "a-token" not in answer.text
        assert SECRET not in answer.text
        return next((one for one in answer.json()["hooks"] if one["consumer"] == self.name), {})

    def close(self) -> None:
        self._path.unlink()
        self.receiver.stop()


@pytest.fixture
def hook(stack: Settings, server: "Server") -> Iterator[Hook]:
    made = Hook(stack, server)
    until(lambda: made.row().get("active"))
    yield made
    made.close()


def until(found: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, "not within the time"
        time.sleep(0.05)


def flywheel(stack: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from flywheel.cli import main; main()", "hooks", *arguments]
    environment = {**os.environ, "FLYWHEEL_HOME": str(stack.root)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)


def test_a_webhook_of_the_stack_hears_of_a_version_signed(server: "Server", model: str, hook: Hook) -> None:
    version = server.register(model)
    until(lambda: any(got.data["subject"] == f"{model}/{version}" for got in list(hook.receiver.got)))
    assert all(verify_mlflow_signature(got, SECRET) for got in hook.receiver.got)


def test_an_event_that_is_not_taken_is_shown_and_an_operator_passes_over_it(
    stack: Settings, server: "Server", model: str, hook: Hook
) -> None:
    hook.receiver.answer = lambda _: 503
    server.register(model)
    until(lambda: hook.row()["waiting"])
    waiting = hook.row()["waiting"]
    assert hook.row()["fault"] == "it answered 503"
    shown = flywheel(stack, "--user", "grace")
    line = next(line for line in shown.stdout.splitlines() if hook.name in line)
    assert f"event {waiting}, " in line
    refused = flywheel(stack, "skip", hook.name, "--reason", "gone", "--user", "grace")
    assert (refused.returncode, "'grace' may not pass over an event" in refused.stderr) == (1, True)
    skipped = flywheel(stack, "skip", hook.name, "--reason", "gone", "--user", "admin")
    assert f"will not get event {waiting}" in skipped.stdout, skipped.stderr
    said = [event for event in server.events("registry", EventKind.HOOK_SKIPPED) if event.body["seq"] == waiting]
    assert [(event.actor, event.body["consumer"], event.body["reason"]) for event in said] == [
        ("admin", hook.name, "gone")
    ]
    hook.receiver.answer = lambda _: 200
    until(lambda: hook.row()["lag"] == 0)
    again = flywheel(stack, "skip", hook.name, "--reason", "gone", "--user", "admin")
    assert (again.returncode, "nothing to skip" in again.stderr) == (1, True)


def test_a_test_goes_to_the_receiver_signed_and_says_how_it_ended(stack: Settings, hook: Hook) -> None:
    tried = flywheel(stack, "test", hook.name, "--user", "admin")
    assert tried.returncode == 0, tried.stderr
    (got,) = [got for got in hook.receiver.got if got.data["kind"] == "test"]
    assert verify_mlflow_signature(got, SECRET)
    hook.receiver.answer = lambda _: 404
    tried = flywheel(stack, "test", hook.name, "--user", "admin")
    assert (tried.returncode, "did not take the test: it answered 404" in tried.stderr) == (1, True)


@pytest.mark.parametrize(
    ("user", "path", "body", "status", "said"),
    [
        (None, "no-such/skip", {"reason": "x"}, 401, ""),
        ("ada", "no-such/skip", {"reason": "x"}, 403, "may not pass over"),
        ("ada", "no-such/test", {}, 403, "may not test"),
        ("admin", "no-such/skip", {"reason": "x"}, 404, "No hook is called 'no-such'"),
        ("admin", "no-such/test", {}, 404, "No hook is called 'no-such'"),
        ("admin", "no-such/skip", {}, 400, "'reason' is missing"),
        ("admin", "no-such/skip", {"reason": "x", "all": "y"}, 400, "'all' is not known"),
    ],
)
def test_wrong_asks_get_a_sentence(
    server: "Server", user: str | None, path: str, body: dict[str, str], status: int, said: str
) -> None:
    answer = server.call(user, "POST", f"/flywheel/api/hooks/{path}", json=body)
    assert answer.status_code == status
    assert said in answer.text


def test_a_stranger_does_not_see_the_hooks(server: "Server") -> None:
    assert server.call(None, "GET", "/flywheel/api/hooks").status_code == 401
