"""A receiver of OTLP over HTTP, and a relay before a scorer: no collector's binary is to be had."""

import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

S = TypeVar("S", bound=ThreadingHTTPServer)


class Handler(BaseHTTPRequestHandler):
    """Reads bodies of both kinds: Envoy sends chunks, the agent's exporter a length."""

    protocol_version = "HTTP/1.1"

    def body(self) -> bytes:
        if "content-length" in self.headers:
            return self.rfile.read(int(self.headers["content-length"]))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def done(self, body: bytes = b"", status: int = 200) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name in the base class
        """Say nothing."""


class Receiver(ThreadingHTTPServer):
    """Keeps the spans that are posted, with their service, and the traceparent of each request that is got.

    Attributes:
        status: What it answers to spans.
        open: While it is not set, spans are not answered.
    """

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), SpanHandler)
        self.spans: list[Span] = []
        self.services: dict[bytes, str] = {}
        self.traceparents: list[str] = []
        self.posts = 0
        self.status = 200
        self.open = threading.Event()
        self.open.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def take(self, told: ExportTraceServiceRequest) -> None:
        for one in told.resource_spans:
            named = {item.key: item.value.string_value for item in one.resource.attributes}
            spans = [span for scope in one.scope_spans for span in scope.spans]
            self.services |= {span.span_id: named["service.name"] for span in spans}
            self.spans += spans

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


class SpanHandler(Handler):
    server: Receiver

    def do_POST(self) -> None:
        told = ExportTraceServiceRequest.FromString(self.body())
        self.server.posts += 1
        self.server.open.wait(60)
        if self.server.status == 200:
            self.server.take(told)
        self.done(status=self.server.status)

    def do_GET(self) -> None:
        self.server.traceparents.append(self.headers.get("traceparent", ""))
        self.done()


class Relay(ThreadingHTTPServer):
    """Stands before a scorer and keeps the traceparent of each prediction that it is asked for."""

    daemon_threads = True

    def __init__(self, scorer: str) -> None:
        super().__init__(("127.0.0.1", 0), RelayHandler)
        self.scorer = scorer
        self.traceparents: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class RelayHandler(Handler):
    server: Relay

    def do_POST(self) -> None:
        self.server.traceparents.append(self.headers.get("traceparent"))
        self._pass_on(self.body())

    def do_GET(self) -> None:
        self._pass_on(None)

    def _pass_on(self, body: bytes | None) -> None:
        headers = {"content-type": "application/json"}
        asked = urllib.request.Request(f"{self.server.scorer}{self.path}", body, headers)  # noqa: S310  # http, of our own
        with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
            self.done(answer.read(), answer.status)


@contextmanager
def running(server: S) -> Iterator[S]:
    """Serve while the context lasts."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
