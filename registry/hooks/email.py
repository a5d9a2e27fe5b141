"""E-mail as a receiver: one message an event over SMTP, in words."""

import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from flywheel.errors import TransientError
from flywheel.events import Event, EventKind
from registry.hooks.consumers import RefusedError
from registry.hooks.posting import is_loopback
from registry.hooks.receiver import Receiver, Secret, entries_of, severity_of

TIMEOUT = 15.0  # seconds, for each answer of the server
Address = Annotated[str, Field(pattern=r"^[^@\s<>,]+@[^@\s<>,]+$")]
WANTED = ("monitor.notice", "alert", "rollout.rolled_back", "rollout.turned_bad", "rollout.warned")
WORDS = {"opened": "New", "worse": "Worse than before", "repeated": "Still open", "resolved": "Resolved"}


class Email(Receiver):
    """One group of mailboxes behind one SMTP server."""

    host: str = Field(min_length=1, description="The SMTP server.")
    port: int = Field(587, ge=1, le=65535, description="465 with tls: tls, 587 with starttls.")
    tls: Literal["starttls", "tls", "none"] = Field("starttls", description="none only to this very machine.")
    sender: Address = Field(description="From whom.")
    to: tuple[Address, ...] = Field(min_length=1, description="To whom.")
    user: str | None = Field(None, description="Login, if the server wants one.")
    secret: Secret | None = Field(None, description="The login's password.")
    events: tuple[str, ...] = Field(WANTED, min_length=1, description="Kinds of events.")

    @model_validator(mode="after")
    def _is_safe(self) -> "Email":
        if self.tls == "none" and not is_loopback(self.host):
            raise ValueError("tls may be none only where the host is this very machine")
        if (self.user is None) != (self.secret is None):
            raise ValueError("give user and secret, or neither")
        return self

    def describe(self) -> dict[str, str]:
        """Name the server; mailboxes are people's."""
        return {"kind": "email", "target": f"smtp://{self.host}:{self.port}", "events": " ".join(self.events)}

    def deliver(self, event: Event) -> None:
        """Send one message; its Message-ID is the same at every try, so that mailboxes can tell a repeat.

        Raises:
            TransientError: Not taken now.
            RefusedError: The server refuses login, sender or every recipient for good.
        """
        message = EmailMessage()
        message["Subject"] = subject(event)
        message["Message-ID"] = f"<{event.hash}.{self.name}@flywheel>"
        message.set_content(text(event))
        self._send(message)

    def try_out(self) -> None:
        """Send a message that says it is a test; raises as `deliver`."""
        message = EmailMessage()
        message["Subject"] = "[test] Flywheel can reach you"
        message.set_content(f"This is a test of receiver '{self.name}'. Nothing has happened.\n")
        self._send(message)

    def _send(self, message: EmailMessage) -> None:
        message["From"], message["To"] = self.sender, ", ".join(self.to)
        try:
            with self._connect() as server:
                if self.user is not None and self.secret is not None:
                    server.login(self.user, self.secret.read())
                server.send_message(message)
        except smtplib.SMTPRecipientsRefused as fault:
            said = "; ".join(f"{name}: {code} {_plain(why)}" for name, (code, why) in fault.recipients.items())
            codes = [code for code, _ in fault.recipients.values()]
            raise _fault(all(code >= 500 for code in codes), f"no recipient is taken: {said}") from fault
        except smtplib.SMTPResponseException as fault:
            said = f"it answered {fault.smtp_code} {_plain(fault.smtp_error)}"
            raise _fault(fault.smtp_code >= 500, said) from fault
        except (OSError, smtplib.SMTPException) as fault:
            raise TransientError(f"{self.host}:{self.port} takes no mail ({type(fault).__name__}: {fault})") from fault

    def _connect(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self.tls == "tls":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT, context=context)
        server = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT)
        if self.tls == "starttls":
            try:
                server.starttls(context=context)
            except BaseException:
                server.close()
                raise
        return server


def subject(event: Event) -> str:
    """Return an event's subject line."""
    return f"[{severity_of(event).value}] {_sentence(event)}".replace("\n", " ")[:200]


def text(event: Event) -> str:
    """Return an event in words, with all that a notice says of each alert."""
    if event.kind != EventKind.MONITOR_NOTICE:
        when = f"{event.at:%Y-%m-%d %H:%M} UTC"
        return f"{_sentence(event)}\n\n{event.kind} of {event.subject} by {event.actor} at {when}.\n"
    return "\n".join(_paragraph(entry) for entry in entries_of(event)) + (
        f"\nAlerts of {event.subject}: flywheel alerts list --usecase {event.subject}\n"
        "To stop repeats: flywheel alerts acknowledge ALERT --because '…'\n"
    )


def _paragraph(entry: Mapping[str, Any]) -> str:
    known = entry.get("known")
    lines = [f"{WORDS.get(entry['why'], entry['why'])} ({entry['severity']}): {entry['what']}"]
    said = {"Since": entry["since"], "How sure": entry["certainty"], "Look at": entry["look_at"], "Next": entry["next"]}
    lines += [f"  {name}: {value}" for name, value in said.items() if value]
    lines += [f"  Known by {known['by']}: {known['because']}"] if known else []
    return "\n".join([*lines, f"  Alert {entry['id']}", ""])


def _sentence(event: Event) -> str:
    said = event.body.get("sentence") or event.body.get("reason")
    return str(said) if said else f"{event.kind} of {event.subject}"


def _fault(for_good: bool, said: str) -> TransientError:
    return RefusedError(said) if for_good else TransientError(said)


def _plain(said: bytes | str) -> str:
    words = said.decode(errors="replace") if isinstance(said, bytes) else said
    return " ".join(words.split())[:200]
