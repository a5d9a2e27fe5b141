"""Signed webhooks from the operator's file: where they go, and one delivery.

They are signed in the form of MLflow's own webhooks (mlflow/webhooks/delivery.py), so that a receiver which verifies
those verifies these.
"""

import base64
import fnmatch
import hashlib
import hmac
import ipaddress
import json
import os
import time
import uuid
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import urllib3
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from flywheel.errors import SpecError, TransientError
from flywheel.events import Event
from flywheel.faults import sentence_of
from flywheel.yaml_text import parse_yaml, yaml_reason
from registry.hooks.consumers import RefusedError

# As in mlflow/webhooks/constants.py, whose package takes seconds to import.
SIGNATURE = "X-MLflow-Signature"
TIMESTAMP = "X-MLflow-Timestamp"
DELIVERY_ID = "X-MLflow-Delivery-Id"

TIMEOUT = urllib3.Timeout(connect=5.0, read=10.0)  # seconds
ANSWER_BYTES = 2048  # of the receiver's answer are read
TRANSIENT = frozenset({408, 409, 425, 429})  # of 4xx: worth another try without anybody's doing
NAMESPACE = uuid.UUID("6f1f6d0e-5a55-4a57-9d6f-2f3f4f0f9a11")  # of delivery ids


class Strict(BaseModel):
    """Frozen, and refuses what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Secret(Strict):
    """Where the signing secret is: a variable of the registry's process, or a file. Never the secret itself."""

    env: Annotated[str, Field(pattern=r"^FLYWHEEL_HOOK_[A-Z0-9_]+$")] | None = Field(
        None, description="Name of a variable that starts with FLYWHEEL_HOOK_; `flywheel up` hands those on."
    )
    file: Path | None = Field(None, description="A file with nothing but the secret.")

    @model_validator(mode="after")
    def _is_one(self) -> "Secret":
        if (self.env is None) == (self.file is None):
            raise ValueError("give either env or file")
        return self

    def read(self) -> str:
        """Return the secret as it is now.

        Raises:
            TransientError: It is not there.
        """
        try:
            text = os.environ.get(self.env, "") if self.env else (self.file or Path()).read_text().strip()
        except (OSError, UnicodeDecodeError) as fault:
            raise TransientError(f"its secret's file {self.file} cannot be read") from fault
        if not text:
            raise TransientError(f"its secret is missing: {self.env or self.file} is empty or not set")
        return text


class Webhook(Strict):
    """One receiver."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="Under which its place is kept.")
    url: str = Field(description="Where events are posted; https, or http to this very machine.")
    events: tuple[str, ...] = Field(("*",), min_length=1, description="Kinds, such as alert or rollout.*")
    secret: Secret | None = Field(None, description="With which deliveries are signed.")
    allow_http: bool = Field(False, description="Allow plain http to another machine.")

    @model_validator(mode="after")
    def _is_reachable(self) -> "Webhook":
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("url must begin with https:// and name a host")
        if parts.username or parts.password:
            raise ValueError("url may hold no user and password")
        if parts.scheme == "http" and not self.allow_http and not _is_loopback(parts.hostname):
            raise ValueError("url must be https (or set allow_http)")
        return self

    def describe(self) -> dict[str, str]:
        """Name kinds and host; the path stays out, since many receivers have a token there."""
        parts = urlsplit(self.url)
        port = f":{parts.port}" if parts.port else ""
        return {
            "kind": "webhook",
            "target": f"{parts.scheme}://{parts.hostname}{port}",
            "events": " ".join(self.events),
        }

    def wants(self, event: Event) -> bool:
        """Return whether one of the patterns fits the event's kind."""
        return any(fnmatch.fnmatchcase(str(event.kind), pattern) for pattern in self.events)

    def deliver(self, event: Event) -> None:
        """Post one event; its delivery id is the same at every try.

        Raises:
            TransientError: Not taken.
            RefusedError: Answered with a redirect, or a 4xx that speaks of the request itself.
        """
        document = {
            "seq": event.seq,
            "kind": str(event.kind),
            "subject": event.subject,
            "actor": event.actor,
            "at": event.at.isoformat(),
            "body": event.body,
            "previous": event.previous,
            "hash": event.hash,
        }
        self._post(str(uuid.uuid5(NAMESPACE, f"{self.name}:{event.hash}")), str(event.kind), document)

    def try_out(self) -> None:
        """Post an event that never happened, of kind `test`; raises as `deliver`."""
        self._post(str(uuid.uuid4()), "test", {"kind": "test", "subject": "registry", "body": {}})

    def _post(self, delivery: str, action: str, data: dict[str, Any]) -> None:
        payload = json.dumps({"entity": "flywheel_event", "action": action, "timestamp": _now(), "data": data})
        stamp = str(int(time.time()))
        headers = {"Content-Type": "application/json", DELIVERY_ID: delivery, TIMESTAMP: stamp}
        if self.secret is not None:
            headers[SIGNATURE] = signature(self.secret.read(), delivery, stamp, payload)
        status, said = _send(self.url, payload.encode(), headers)
        if 200 <= status < 300:
            return
        fault = f"it answered {status}" + (f": {said}" if said else "")
        raise RefusedError(fault) if 300 <= status < 500 and status not in TRANSIENT else TransientError(fault)


class Hooks(Strict):
    """The file of webhooks."""

    webhooks: tuple[Webhook, ...] = ()

    @model_validator(mode="after")
    def _are_distinct(self) -> "Hooks":
        names = [hook.name for hook in self.webhooks]
        if double := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two webhooks are called '{double}'")
        return self


def signature(secret: str, delivery: str, stamp: str, payload: str) -> str:
    """Sign as MLflow does: `v1,` and base64 of HMAC-SHA256 over `delivery.stamp.payload`."""
    signed = hmac.new(secret.encode(), f"{delivery}.{stamp}.{payload}".encode(), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


def parse_hooks(text: str, where: str) -> Hooks:
    """Read the file's text; `where` names it in messages.

    Raises:
        SpecError: It is no YAML, or says something that it cannot say.
    """
    try:
        return Hooks.model_validate(parse_yaml(text) or {})
    except yaml.YAMLError as fault:
        raise SpecError(f"Hooks {where}: no YAML: {yaml_reason(fault)}. Correct it.") from fault
    except ValidationError as fault:
        raise SpecError(f"Hooks {where}: {sentence_of(fault)}") from fault


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())


def _send(url: str, payload: bytes, headers: dict[str, str]) -> tuple[int, str]:
    """POST; return status and the beginning of the answer. No redirect is followed: events go where the file says."""
    try:
        with urllib3.PoolManager(timeout=TIMEOUT, retries=False) as pool:
            answer = pool.request("POST", url, body=payload, headers=headers, redirect=False, preload_content=False)
            try:
                said = answer.read(ANSWER_BYTES, decode_content=False)
            finally:
                answer.close()
    except urllib3.exceptions.HTTPError as fault:
        raise TransientError(f"it does not answer ({type(fault).__name__})") from fault
    return answer.status, " ".join(said.decode(errors="replace").split())[:200]
