"""The way of spans to a collector: bounded, off the event loop, and silent about one that is away but for a line."""

from opentelemetry.proto.trace.v1.trace_pb2 import Span
from structlog.testing import capture_logs

from deploy.agent.telemetry.collector import BATCH_SPANS, QUEUED_SPANS, collecting
from deploy.agent.telemetry.tracing import Source, Tracing
from tests.deploy.conftest import wait_for
from tests.platform.otlp_receiver import Receiver, running

SOURCE = Source("tiny", "1", "onnx")


def trace(tracing: Tracing, requests: int, path: str = "/invocations") -> None:
    for _ in range(requests):
        request = tracing.request({}, "POST", path)
        assert request is not None
        with request:
            request.answered(200, None, None, {"http.response.status_code": 200})


def test_what_is_left_at_the_end_is_sent() -> None:
    with running(Receiver()) as receiver:
        with collecting(f"{receiver.url}/", SOURCE, 100) as tracing:
            trace(tracing, 3)
        assert [(span.name, span.kind) for span in receiver.spans] == [("POST /invocations", Span.SPAN_KIND_SERVER)] * 3
        assert set(receiver.services.values()) == {"flywheel-agent"}


def test_spans_that_nobody_takes_are_bounded_and_the_latest_are_kept() -> None:
    with running(Receiver()) as receiver:
        receiver.open.clear()
        with collecting(receiver.url, SOURCE, 100) as tracing:
            trace(tracing, BATCH_SPANS)
            wait_for(lambda: receiver.posts > 0, "the first batch on its way")
            trace(tracing, 3 * QUEUED_SPANS)
            trace(tracing, 1, "/last")
            receiver.open.set()
        assert len(receiver.named("POST /last")) == 1
        assert len(receiver.spans) <= QUEUED_SPANS + BATCH_SPANS


def test_a_collector_that_fails_is_told_once_and_asked_no_more_when_the_agent_ends() -> None:
    with running(Receiver()) as receiver, capture_logs() as lines:
        receiver.status = 503
        with collecting(receiver.url, SOURCE, 100) as tracing:
            trace(tracing, BATCH_SPANS)
            wait_for(lambda: bool(lines), "the line about it")
            trace(tracing, 3 * QUEUED_SPANS)
            before = receiver.posts
        assert receiver.posts - before <= 3  # what was on its way, and that again; four batches were waiting
    assert [line["event"] for line in lines] == ["traces are lost: the collector does not take them"]


def test_a_collector_that_is_back_is_told_with_what_was_lost() -> None:
    with running(Receiver()) as receiver, capture_logs() as lines:
        receiver.status = 503
        with collecting(receiver.url, SOURCE, 100) as tracing:
            trace(tracing, 5)
            wait_for(lambda: bool(lines), "the line about it")
            receiver.status = 200
            trace(tracing, 1, "/last")
            wait_for(lambda: len(lines) == 2, "the line that it is back")
    assert lines[1]["lost_spans"] == 5
    assert [span.name for span in receiver.spans] == ["POST /last"]
