"""Signed webhooks: one receiver, and one delivery.

They are signed in the form of MLflow's own webhooks (mlflow/webhooks/delivery.py), so that a receiver which verifies
those verifies these.
"""

import base64
import hashlib
import hmac
import json
import time
import uuid
from typing import Any

from pydantic import Field, model_validator

from flywheel.events import Event
from registry.hooks.posting import check_url, origin, post
from registry.hooks.receiver import Receiver, Secret

# As in mlflow/webhooks/constants.py, whose package takes seconds to import.
SIGNATURE = "X-MLflow-Signature"
TIMESTAMP = "X-MLflow-Timestamp"
DELIVERY_ID = "X-MLflow-Delivery-Id"

NAMESPACE = uuid.UUID("6f1f6d0e-5a55-4a57-9d6f-2f3f4f0f9a11")  # of delivery ids


class Webhook(Receiver):
    """One receiver."""

    url: str = Field(description="Where events are posted; https, or http to this very machine.")
    secret: Secret | None = Field(None, description="With which deliveries are signed.")
    allow_http: bool = Field(False, description="Allow plain http to another machine.")

    @model_validator(mode="after")
    def _is_reachable(self) -> "Webhook":
        check_url(self.url, allow_http=self.allow_http)
        return self

    def describe(self) -> dict[str, str]:
        """Name kinds and host; the path stays out, since many receivers have a token there."""
        return {"kind": "webhook", "target": origin(self.url), "events": " ".join(self.events)}

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
        post(self.url, payload.encode(), headers)


def signature(secret: str, delivery: str, stamp: str, payload: str) -> str:
    """Sign as MLflow does: `v1,` and base64 of HMAC-SHA256 over `delivery.stamp.payload`."""
    signed = hmac.new(secret.encode(), f"{delivery}.{stamp}.{payload}".encode(), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
