"""Sends finished spans to an OTLP/HTTP collector, from a thread of its own and out of a bounded queue.

A collector that is away costs a line when it goes and one when it is back; meanwhile the oldest spans give way.
"""

import contextlib
import logging
from collections.abc import Iterator, Sequence

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from deploy.agent.telemetry.tracing import Source, Tracing

SERVICE = "flywheel-agent"
QUEUED_SPANS = 2048
BATCH_SPANS = 512
PERIOD_MS = 1000
# Of one batch with its repetitions. At the end an agent waits for at most two: the one in flight and the one after.
SEND_SECONDS = 2.0

log = structlog.get_logger()


@contextlib.contextmanager
def collecting(otlp: str, source: Source, percent: float) -> Iterator[Tracing]:
    """Trace while the context lasts, and then send what is left, for as long as a collector takes it.

    Args:
        otlp: The collector's base address.
        source: Who this is.
        percent: Of the requests without a caller's decision that are traced, 0 to 100.
    """
    # What the exporter has to say it says at each failure; `Collector` says it once.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    exporter = Collector(OTLPSpanExporter(f"{otlp.rstrip('/')}/v1/traces", timeout=SEND_SECONDS), otlp)
    resource = Resource.create({"service.name": SERVICE, "service.version": source.version})
    provider = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False)
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter,
            max_queue_size=QUEUED_SPANS,
            schedule_delay_millis=PERIOD_MS,
            max_export_batch_size=BATCH_SPANS,
        )
    )
    try:
        yield Tracing(provider.get_tracer(SERVICE), source, percent)
    finally:
        exporter.closing = True
        provider.shutdown()


class Collector(SpanExporter):
    """An exporter that tells once that spans are lost, and once that they arrive again.

    Attributes:
        closing: Whether the agent ends, so that a collector which is away is asked no more.
    """

    def __init__(self, exporter: SpanExporter, address: str) -> None:
        self._exporter, self._address = exporter, address
        self._lost = 0
        self.closing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; they are lost where the collector does not take them in time."""
        if self.closing and self._lost:
            return SpanExportResult.FAILURE
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            if self._lost:
                log.warning("traces are collected again", collector=self._address, lost_spans=self._lost)
            self._lost = 0
            return result
        if not self._lost:
            log.warning("traces are lost: the collector does not take them", collector=self._address)
        self._lost += len(spans)
        return result

    def shutdown(self) -> None:
        """Close the connection."""
        self._exporter.shutdown()
