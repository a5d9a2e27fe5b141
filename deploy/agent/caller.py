"""Who asks: read from what the gateway says with a request, whichever protocol carries it, and told back."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import uuid_utils

from deploy.agent.dataplane import Answer
from deploy.agent.recording import Caller
from deploy.agent.telemetry.counts import ARMS as KNOWN_ARMS
from flywheel.serving import SAFE_DEFAULT

if TYPE_CHECKING:  # OpenTelemetry is not loaded in an agent without a collector
    from deploy.agent.telemetry.tracing import Trace

HEADER_LENGTH = 256
# More ids than this would not fit into the header size that clients accept; `x-request-id` and the row tell them apart.
LISTED_IDS = 100
MAX_ATTEMPT = 32_767
# Each arm that is counted apart costs a time series, so what a stranger may write into the header is no name of one.
ARMS = {name.encode(): name for name in KNOWN_ARMS}


def read_caller(headers: Mapping[bytes, bytes], trace: "Trace | None" = None, *, version: str = "") -> Caller:
    """Read what the gateway says; without a usable request id the request gets one of its own.

    Args:
        headers: Of the request.
        trace: Its spans.
        version: The one that answers.
    """
    attempt = headers.get(b"x-envoy-attempt-count", b"1")
    return Caller(
        request_id=_text(headers, b"x-request-id") or str(uuid_utils.uuid4()),
        attempt=min(max(int(attempt), 1), MAX_ATTEMPT) if attempt.isdigit() and len(attempt) <= 9 else 1,
        rollout=_text(headers, b"x-flywheel-rollout"),
        arm=_text(headers, b"x-flywheel-arm"),
        unit=_text(headers, b"x-flywheel-unit"),
        patience=_patience(headers),
        fallback=_fallback(headers, version),
        trace=trace,
    )


def counted_arm(headers: Mapping[bytes, bytes]) -> str | None:
    """Return the arm under which a request is counted."""
    arm = headers.get(b"x-flywheel-arm")
    return None if arm is None else ARMS.get(arm, "other")


def answer_headers(answer: Answer, caller: Caller) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers that name the request and its predictions, and say whose stand-in has answered."""
    named = [(b"x-request-id", caller.request_id.encode())]
    if caller.fallback is not None:
        named.append((b"x-flywheel-fallback", caller.fallback.encode()))
    if len(answer.prediction_ids) <= LISTED_IDS:
        named.append((b"x-flywheel-prediction-id", ",".join(answer.prediction_ids).encode()))
    return tuple(named)


def _fallback(headers: Mapping[bytes, bytes], version: str) -> str | None:
    """Return what this version is to the request, where another should have answered.

    The gateway says which version stands in for the champion; the declared default does nothing else.
    """
    if version == SAFE_DEFAULT:
        return SAFE_DEFAULT
    return "previous" if version and headers.get(b"x-flywheel-previous") == version.encode() else None


def _text(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    if not value or len(value) > HEADER_LENGTH or not value.isascii():
        return None
    text = value.decode("ascii")
    return text if text.isprintable() else None


def _patience(headers: Mapping[bytes, bytes]) -> float | None:
    """Return the shorter of what the client and the gateway wait."""
    named = (_seconds(headers.get(name)) for name in (b"x-flywheel-deadline-ms", b"x-envoy-expected-rq-timeout-ms"))
    return min((seconds for seconds in named if seconds is not None), default=None)


def _seconds(milliseconds: bytes | None) -> float | None:
    if milliseconds is None or not milliseconds.isdigit() or len(milliseconds) > 9:
        return None
    return max(int(milliseconds), 1) / 1000
