"""Envoy's traces: a real Envoy, and a receiver of OTLP over HTTP written here: no collector's binary is to be had."""

import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from flywheel.errors import SpecError
from flywheel.serving import Observability, load_serving
from flywheel.stack.tracing import collector_cluster, tracing_section
from tests.deploy.conftest import free_port, wait_for
from tests.platform.conftest import StartEnvoy


class Receiver(ThreadingHTTPServer):
    """Keeps the spans that are posted, and the traceparent of each request that is got."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.spans: list[Span] = []
        self.traceparents: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = b""
        while size := int(self.rfile.readline(), 16):  # Envoy sends chunks
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        told = ExportTraceServiceRequest.FromString(body)
        self.server.spans += [span for one in told.resource_spans for scope in one.scope_spans for span in scope.spans]
        self._done()

    def do_GET(self) -> None:
        self.server.traceparents.append(self.headers.get("traceparent", ""))
        self._done()

    def _done(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name in the base class
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def serving(port: int) -> str:
    return f'observability: {{otlp: "http://127.0.0.1:{port}", sample_percent: 100}}'


def get(url: str, **headers: str) -> int:
    asked = urllib.request.Request(url, headers=headers)  # noqa: S310  # http, of our own
    with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310
        return int(answer.status)


def test_envoy_continues_a_callers_trace_and_hands_it_on(start_envoy: StartEnvoy, receiver: Receiver) -> None:
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    port = receiver.server_address[1]
    envoy = start_envoy(serving(port), upstream=port)
    assert get(envoy.url, traceparent=f"00-{trace}-{parent}-01") == 200
    wait_for(lambda: len(receiver.spans) >= 2, "the export of both spans")
    assert {span.trace_id.hex() for span in receiver.spans} == {trace}
    door = next(span for span in receiver.spans if span.parent_span_id.hex() == parent)
    call = next(span for span in receiver.spans if span.parent_span_id == door.span_id)
    assert receiver.traceparents == [f"00-{trace}-{call.span_id.hex()}-01"]


def test_without_a_collector_requests_are_answered(start_envoy: StartEnvoy, receiver: Receiver) -> None:
    envoy = start_envoy(serving(free_port()), upstream=receiver.server_address[1])
    assert [get(envoy.url) for _ in range(50)] == [200] * 50


def test_nothing_is_traced_unless_it_is_asked_for() -> None:
    assert tracing_section(Observability()) is None
    assert collector_cluster(Observability()) is None


def test_an_address_that_is_no_url_is_refused_with_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "serving.yaml").write_text('observability: {otlp: "collector:4318"}')
    with pytest.raises(SpecError, match=r"observability\.otlp: .*give http"):
        load_serving(tmp_path)
