"""Webhooks: what the file may say, how deliveries are signed, and what counts as delivered."""

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from flywheel import events
from flywheel.errors import SpecError, TransientError
from flywheel.events import GENESIS, Event, EventKind
from registry.hooks import webhooks
from registry.hooks.consumers import RefusedError
from registry.hooks.file import parse_hooks
from registry.hooks.webhooks import Webhook, signature
from tests.registry.hooks.receiver import SECRET, Receiver, verify_mlflow_signature

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def event(kind: EventKind = EventKind.TRANSITION, **body: Any) -> Event:
    return events.chained(GENESIS, kind, "churn/1", "grace", body, NOON)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver().start()
    yield made
    made.stop()


@pytest.fixture
def secret(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    return {"file": str(path)}


def webhook(receiver: Receiver, **more: Any) -> Webhook:
    return Webhook.model_validate({"name": "pager", "url": receiver.url, **more})


def test_a_receiver_that_verifies_mlflows_webhooks_verifies_these(receiver: Receiver, secret: dict[str, str]) -> None:
    webhook(receiver, secret=secret).deliver(event(to="Production", who="grâce"))
    (got,) = receiver.got
    assert verify_mlflow_signature(got, SECRET)
    assert not verify_mlflow_signature(got, "another secret")
    got.payload = got.payload.replace(b"Production", b"Production!")
    assert not verify_mlflow_signature(got, SECRET)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_signature_is_the_one_that_mlflow_makes() -> None:
    theirs = import_module("mlflow.webhooks.delivery")._generate_hmac_signature
    constants = import_module("mlflow.webhooks.constants")
    assert signature(SECRET, "an id", "1700000000", '{"ä": 1}') == theirs(SECRET, "an id", "1700000000", '{"ä": 1}')
    assert webhooks.SIGNATURE == constants.WEBHOOK_SIGNATURE_HEADER
    assert webhooks.TIMESTAMP == constants.WEBHOOK_TIMESTAMP_HEADER
    assert webhooks.DELIVERY_ID == constants.WEBHOOK_DELIVERY_ID_HEADER


def test_an_event_arrives_whole_and_its_delivery_id_is_the_same_each_time(receiver: Receiver) -> None:
    said = event(to="Staging")
    for _ in range(2):
        webhook(receiver).deliver(said)
    webhook(receiver, name="other").deliver(said)
    first, again, other = receiver.got
    assert first.delivery == again.delivery != other.delivery
    assert first.data["hash"] == said.hash
    assert first.data | {"at": said.at} == {**vars(said)}
    assert "X-MLflow-Signature" not in first.headers


@pytest.mark.parametrize(("status", "fault"), [(500, TransientError), (429, TransientError), (408, TransientError)])
def test_what_may_pass_by_itself_is_a_passing_fault(
    receiver: Receiver, status: int, fault: type[TransientError]
) -> None:
    receiver.answer = lambda _: status
    with pytest.raises(fault, match=f"it answered {status}") as raised:
        webhook(receiver).deliver(event())
    assert not isinstance(raised.value, RefusedError)


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 410, 422])
def test_a_redirect_is_not_followed_and_like_other_refusals_is_for_somebody_to_look_at(
    receiver: Receiver, status: int
) -> None:
    receiver.answer = lambda _: status
    with pytest.raises(RefusedError, match=f"it answered {status}"):
        webhook(receiver).deliver(event())
    assert len(receiver.got) == 1


def test_nobody_there_is_a_passing_fault_that_names_no_path(receiver: Receiver) -> None:
    receiver.stop()
    with pytest.raises(TransientError, match="does not answer") as raised:
        webhook(receiver).deliver(event())
    assert "/hook" not in str(raised.value)
    receiver.start()


def test_a_secret_that_is_not_there_keeps_the_event_back(receiver: Receiver, tmp_path: Path) -> None:
    for missing in ({"file": str(tmp_path / "none")}, {"env": "FLYWHEEL_HOOK_NONE"}):
        with pytest.raises(TransientError, match="secret"):
            webhook(receiver, secret=missing).deliver(event())
    assert receiver.got == []


def test_a_secret_may_come_from_the_environment(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYWHEEL_HOOK_PAGER", SECRET)
    webhook(receiver, secret={"env": "FLYWHEEL_HOOK_PAGER"}).deliver(event())
    assert verify_mlflow_signature(receiver.got[0], SECRET)


@pytest.mark.parametrize(
    ("patterns", "kinds"),
    [
        (["transition"], {EventKind.TRANSITION}),
        (["rollout.promo*", "alert"], {EventKind.ROLLOUT_PROMOTED, EventKind.ALERT}),
        (["*"], set(EventKind)),
    ],
)
def test_patterns_choose_the_kinds(receiver: Receiver, patterns: list[str], kinds: set[EventKind]) -> None:
    hook = webhook(receiver, events=patterns)
    assert {kind for kind in EventKind if hook.wants(event(kind))} == kinds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("webhooks: [", "no YAML"),
        ("[1, 2]", "it must be a mapping of keys"),
        ("webhook: []", "unknown key 'webhook'"),
        ("webhooks: [{name: a, url: 'https://x', secret: word}]", r"webhooks\.0\.secret"),
        ("webhooks: [{name: a, url: 'https://x', secret: {}}]", "either env or file"),
        ("webhooks: [{name: a, url: 'https://x', secret: {env: PATH}}]", r"secret\.env"),
        ("webhooks: [{name: a b, url: 'https://x'}]", r"webhooks\.0\.name"),
        ("webhooks: [{name: a, url: 'http://example.org'}]", "must be https"),
        ("webhooks: [{name: a, url: 'http://127.0.0.1.example.org'}]", "must be https"),
        ("webhooks: [{name: a, url: 'ftp://x'}]", "https://"),
        ("webhooks: [{name: a, url: 'https://user:word@x'}]", "no user and password"),
        ("webhooks: [{name: a, url: 'https://x', events: []}]", "events"),
        ("webhooks: [{name: a, url: 'https://x'}, {name: a, url: 'https://y'}]", "two receivers are called 'a'"),
    ],
)
def test_a_wrong_file_is_one_sentence_that_repeats_no_secret(text: str, said: str) -> None:
    with pytest.raises(SpecError, match=said) as raised:
        parse_hooks(text, "hooks.yaml")
    assert str(raised.value).startswith("Hooks hooks.yaml: ")
    assert "\n" not in str(raised.value)
    assert "word@" not in str(raised.value)


@pytest.mark.parametrize("url", ["http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1", "https://example.org"])
def test_http_is_for_this_machine_alone_unless_the_file_says_otherwise(url: str) -> None:
    assert parse_hooks(f"webhooks: [{{name: a, url: '{url}'}}]", "x").webhooks[0].url == url
    parse_hooks("webhooks: [{name: a, url: 'http://example.org', allow_http: true}]", "x")


def test_an_empty_file_has_no_webhooks() -> None:
    assert parse_hooks("", "x").webhooks == ()


def test_what_is_shown_of_a_webhook_holds_no_path() -> None:
    hook = Webhook(name="chat", url="https://hooks.example.org:8443/services/T0/a-token?key=b")
    assert hook.describe() == {"kind": "webhook", "target": "https://hooks.example.org:8443", "events": "*"}
