"""What the doorman counts: checks by their result and time, and how fresh its book of tokens is."""

import time
from collections.abc import Callable, Mapping
from datetime import datetime

from prometheus_client import Gauge, Histogram

from deploy.doorman.door import Verdict
from deploy.doorman.tokens import Book
from flywheel.textfile import Textfile

SECONDS = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.1)
# Of the doorman's statuses; each is a series, so there are no others.
RESULTS = {200: "allowed", 401: "unknown", 403: "scope", 429: "quota", 503: "stale"}
OTHER = "other"
Judge = Callable[[Mapping[bytes, bytes]], Verdict]


class DoorCounts:
    """Counts of one doorman.

    Args:
        told: Where they are told.
        book: Returns the tokens as of now.
    """

    def __init__(self, told: Textfile, book: Callable[[], Book]) -> None:
        checks = told.counter("flywheel_doorman_checks", "Requests that were judged, by result.", ("result",))
        self._checks = {result: checks.labels(result) for result in (*RESULTS.values(), OTHER)}
        self._seconds = Histogram(
            "flywheel_doorman_check_seconds", "Time of one judgement.", buckets=SECONDS, registry=told.registry
        )
        tokens = Gauge("flywheel_doorman_tokens", "Tokens that are known.", registry=told.registry)
        tokens.set_function(lambda: len(book().tokens))
        read = Gauge(
            "flywheel_doorman_trail_read_timestamp_seconds",
            "When the audit trail was read last; 0 before the first time.",
            registry=told.registry,
        )
        read.set_function(lambda: max(datetime.fromisoformat(book().read_at).timestamp(), 0.0))

    def watched(self, judge: Judge) -> Judge:
        """Return a judge that does the same and is counted."""

        def counted(headers: Mapping[bytes, bytes]) -> Verdict:
            began = time.perf_counter()
            verdict = judge(headers)
            self._seconds.observe(time.perf_counter() - began)
            self._checks[RESULTS.get(verdict.status, OTHER)].inc()
            return verdict

        return counted
