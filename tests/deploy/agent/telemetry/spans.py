"""Spans kept in this process, and the agent's application that makes them."""

from collections.abc import Callable, Mapping

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import SpanContext
from opentelemetry.util.types import AttributeValue

from deploy.agent.telemetry.tracing import Source, Tracing


class Kept:
    """A `Tracing` and what it made."""

    def __init__(self, percent: float = 0, chance: Callable[[], float] = lambda: 0.5, backend: str = "mlflow") -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(ALWAYS_ON, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(provider.get_tracer("test"), Source("tiny", "1", backend), percent, chance)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]


def context_of(span: ReadableSpan) -> SpanContext:
    context = span.get_span_context()
    assert context is not None
    return context


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def told(span: ReadableSpan) -> Mapping[str, AttributeValue]:
    return span.attributes or {}
