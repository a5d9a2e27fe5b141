"""One log line for a request that went wrong or took long. Envoy's access log has them all; this one says why.

It never holds inputs, headers or tokens: only what a line's fields below name. So that a flood of bad requests does
not fill the disk, lines are limited; the first line after a pause says how many were left out.
"""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import structlog

from deploy.agent.telemetry.traceparent import HEADER, read_traceparent

if TYPE_CHECKING:  # OpenTelemetry is not loaded in an agent without a collector
    from deploy.agent.telemetry.tracing import Trace

SLOW_SECONDS = 1.0
LINES_PER_SECOND = 5.0
BURST = 50.0

log = structlog.get_logger()


class AccessLog:
    """Writes lines on standard error, at most `BURST` at once and `LINES_PER_SECOND` in the long run.

    Args:
        use_case: What is served.
        version: What is served.
        clock: Gives monotonic seconds.
    """

    def __init__(self, use_case: str, version: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._known = {"use_case": use_case, "version": version}
        self._clock = clock
        self._tokens = BURST
        self._filled = clock()
        self._left_out = 0

    def answered(
        self,
        headers: Mapping[bytes, bytes],
        protocol: str,
        status: int,
        *,
        arm: str | None,
        rule: str | None,
        seconds: float,
        trace: "Trace | None" = None,
    ) -> None:
        """Tell of a request, if it is worth a line."""
        if status < 400 and seconds < SLOW_SECONDS:
            return
        if not self._may_write():
            self._left_out += 1
            return
        left_out, self._left_out = self._left_out, 0
        what = "request failed" if status >= 500 else "request refused" if status >= 400 else "request slow"
        log.warning(
            what,
            **self._known,
            request_id=_printable(headers.get(b"x-request-id")),
            trace_id=_caller_trace(headers) if trace is None else trace.trace_id,
            protocol=protocol,
            arm=arm,
            status=status,
            rule=rule,
            duration_ms=round(seconds * 1000, 3),
            left_out=left_out,
        )

    def _may_write(self) -> bool:
        now = self._clock()
        self._tokens = min(BURST, self._tokens + (now - self._filled) * LINES_PER_SECOND)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def _printable(value: bytes | None) -> str | None:
    if value is None:
        return None
    text = value[:128].decode("ascii", "replace")
    return text if text.isprintable() else None


def _caller_trace(headers: Mapping[bytes, bytes]) -> str | None:
    """Return the id of the trace that the caller goes on with, whether it is recorded or not."""
    caller = read_traceparent(headers.get(HEADER))
    return None if caller is None else f"{caller.trace_id:032x}"
