"""E-mail through a real SMTP server on loopback: what arrives, what is refused, what waits."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from pydantic import ValidationError

from flywheel import events
from flywheel.errors import TransientError
from flywheel.events import GENESIS, Event, EventKind
from registry.hooks.consumers import RefusedError
from registry.hooks.email import Email, subject, text
from registry.hooks.receiver import Secret
from tests.deploy.conftest import free_port

ENTRY = {
    "id": "3f1c0a9be2d4",
    "why": "opened",
    "opened": "2026-01-01T12:00:00+00:00",
    "kind": "drift",
    "key": "distance",
    "severity": "warning",
    "what": "distance moved by 0.4 sd",
    "since": "2025-12-28",
    "certainty": "e-value 812 against 365",
    "look_at": "window 2025-12-28 to 2026-01-01",
    "next": "nothing starts by itself: there is no harm",
    "known": None,
}


def event(kind: EventKind = EventKind.MONITOR_NOTICE, **body: Any) -> Event:
    said = body or {"severity": "warning", "sentence": "flights: distance moved by 0.4 sd", "alerts": [ENTRY]}
    return events.chained(GENESIS, kind, "flights", "svc-monitoring", said, datetime(2026, 1, 1, tzinfo=UTC))


class Mailbox:
    """Takes what comes, unless a test wants another answer."""

    def __init__(self) -> None:
        self.got: list[EmailMessage] = []
        self.answer = "250 OK"
        self.recipients = "250 OK"

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.recipients

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        self.got.append(BytesParser(_class=EmailMessage, policy=default).parsebytes(envelope.content))
        return self.answer


def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    known = isinstance(data, LoginPassword) and (data.login, data.password) == (b"flywheel", b"a secret")
    return AuthResult(success=known, handled=False)


@pytest.fixture
def box() -> Iterator[tuple[Mailbox, int]]:
    mailbox, port = Mailbox(), free_port()
    server = Controller(
        mailbox,
        hostname="127.0.0.1",
        port=port,
        authenticator=authenticate,
        auth_require_tls=False,
        auth_required=False,
    )
    server.start()
    yield mailbox, port
    server.stop()


def receiver(port: int, **more: Any) -> Email:
    known: dict[str, Any] = {"name": "ops", "host": "127.0.0.1", "port": port, "tls": "none"}
    return Email(**known | {"sender": "flywheel@example.org", "to": ["olga@example.org"]} | more)


def test_a_notice_arrives_in_words_with_all_that_is_known(box: tuple[Mailbox, int]) -> None:
    mailbox, port = box
    receiver(port).deliver(event())
    (got,) = mailbox.got
    assert got["Subject"] == "[warning] flights: distance moved by 0.4 sd"
    assert (got["From"], got["To"]) == ("flywheel@example.org", "olga@example.org")
    said = got.get_content()
    for words in (ENTRY["what"], ENTRY["since"], ENTRY["certainty"], ENTRY["look_at"], ENTRY["next"], ENTRY["id"]):
        assert str(words) in said


def test_a_repeat_has_the_same_message_id_and_another_event_has_another(box: tuple[Mailbox, int]) -> None:
    mailbox, port = box
    for one in (event(), event(), event(EventKind.ALERT, what="pointer.moved", sentence="An alias moved.")):
        receiver(port).deliver(one)
    first, again, other = (got["Message-ID"] for got in mailbox.got)
    assert first == again != other


def test_the_login_is_used_and_a_wrong_one_is_refused(box: tuple[Mailbox, int], monkeypatch: Any) -> None:
    mailbox, port = box
    monkeypatch.setenv("FLYWHEEL_HOOK_MAIL", "a secret")
    login = {"user": "flywheel", "secret": Secret(env="FLYWHEEL_HOOK_MAIL", file=None)}
    receiver(port, **login).deliver(event())
    assert len(mailbox.got) == 1
    monkeypatch.setenv("FLYWHEEL_HOOK_MAIL", "another")
    with pytest.raises(RefusedError, match="535"):
        receiver(port, **login).deliver(event())


def test_a_server_that_is_busy_is_asked_again_and_one_that_refuses_for_good_is_said(box: tuple[Mailbox, int]) -> None:
    mailbox, port = box
    mailbox.answer = "451 try later"
    with pytest.raises(TransientError, match="451 try later") as busy:
        receiver(port).deliver(event())
    assert not isinstance(busy.value, RefusedError)
    mailbox.answer = "554 no"
    with pytest.raises(RefusedError, match="554 no"):
        receiver(port).deliver(event())
    mailbox.answer, mailbox.recipients = "250 OK", "550 nobody of that name"
    with pytest.raises(RefusedError, match=r"no recipient is taken: olga@example\.org: 550 nobody of that name"):
        receiver(port).deliver(event())


def test_nobody_there_and_no_tls_are_transient(box: tuple[Mailbox, int]) -> None:
    with pytest.raises(TransientError, match="takes no mail"):
        receiver(free_port()).deliver(event())
    with pytest.raises(TransientError, match="takes no mail"):
        receiver(box[1], tls="starttls").deliver(event())
    with pytest.raises(TransientError, match=ssl.SSLError.__name__):
        receiver(box[1], tls="tls").deliver(event())


def test_it_can_be_tried_out(box: tuple[Mailbox, int]) -> None:
    receiver(box[1]).try_out()
    assert box[0].got[0]["Subject"] == "[test] Flywheel can reach you"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"host": "mail.example.org"}, "tls may be none only"),
        ({"user": "flywheel"}, "give user and secret"),
        ({"to": ["olga"]}, "to"),
        ({"to": []}, "to"),
        ({"sender": "a@b, c@d"}, "sender"),
        ({"severity": "loud"}, "severity"),
    ],
)
def test_a_receiver_that_cannot_be_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        receiver(25, **wrong)


def test_only_what_is_grave_enough_is_wanted_and_rollbacks_always_are() -> None:
    mild = event(severity="info", sentence="x", alerts=[])
    assert receiver(25).wants(mild)
    assert not receiver(25, severity="critical").wants(event())
    assert receiver(25, severity="critical").wants(event(EventKind.ROLLOUT_ROLLED_BACK, reason="it failed"))
    assert not receiver(25).wants(event(EventKind.MONITOR_WINDOW, verdict="quiet"))


def test_a_line_break_in_a_sentence_forges_no_header() -> None:
    forged = event(severity="info", sentence="x\nBcc: eve@example.org", alerts=[])
    assert subject(forged) == "[info] x Bcc: eve@example.org"
    assert text(event(EventKind.ALERT, sentence="An alias moved.")).startswith("An alias moved.")
