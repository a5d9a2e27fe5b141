"""The spans of a request on its way through the agent: the request itself, validate, queue, score and append.

Only what is sampled gets a `Trace`; all other code asks whether a request has one, and does nothing where it has not.
Imported only by an agent that has a collector: OpenTelemetry costs 10 MB.
"""

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from opentelemetry.trace import (
    INVALID_SPAN,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)

from deploy.agent.refusal import RefusalError
from deploy.agent.telemetry.traceparent import HEADER, Traceparent, read_traceparent

UNSAMPLED = b"-00"
Attributes = Mapping[str, str | int]
A = TypeVar("A")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Source:
    """What the spans of an agent have in common."""

    use_case: str
    version: str
    backend: str


class Tracing:
    """Decides which requests are traced, and begins their traces.

    Args:
        tracer: Makes spans, and records every one that it is asked for.
        source: Who this is.
        percent: Of the requests without a caller's decision that are traced, 0 to 100.
        chance: Gives a number from 0 to 1.
    """

    def __init__(
        self, tracer: Tracer, source: Source, percent: float, chance: Callable[[], float] = random.random
    ) -> None:
        self.tracer, self.source = tracer, source
        self._share, self._chance = percent / 100, chance
        self._known = {"flywheel.use_case": source.use_case, "flywheel.version": source.version}

    def begin(self, headers: Mapping[bytes, bytes], name: str, attributes: Attributes) -> "Trace | None":
        """Begin a request's trace where its caller traces, or where it has not said and the share wants one."""
        value = headers.get(HEADER)
        # Most requests behind the gateway end so, and need no look at the rest.
        if value is not None and value.endswith(UNSAMPLED):
            return None
        caller = read_traceparent(value)
        if not (self._chance() < self._share if caller is None else caller.sampled):
            return None
        parent = set_span_in_context(INVALID_SPAN if caller is None else _remote(caller))
        known = {**self._known, **attributes}
        return Trace(self, self.tracer.start_span(name, parent, SpanKind.SERVER, known))


class Trace:
    """One traced request, a context that ends its span. Used on the event loop only."""

    def __init__(self, tracing: Tracing, span: Span) -> None:
        self._tracing, self._span = tracing, span
        self._inside = set_span_in_context(span)
        self._queued = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the request's span; a client that went away leaves no status, but the name of the fault."""
        if kind is not None:
            self._span.set_attribute("error.type", kind.__name__)
        self._span.end()

    @property
    def trace_id(self) -> str:
        """The trace's id in hex digits."""
        return f"{self._span.get_span_context().trace_id:032x}"

    def about(self, request_id: str, rows: int) -> None:
        """Say by which id the records of this request are found, and how many there are."""
        self._span.set_attributes({"flywheel.request_id": request_id, "flywheel.rows": rows})

    def answered(self, status: int, arm: str | None, rule: str | None, attributes: Attributes) -> None:
        """Say how the request was answered: from status 500 on it counts as an error of ours."""
        told = {"flywheel.arm": arm, "flywheel.rule": rule}
        self._span.set_attributes({name: value for name, value in told.items() if value is not None})
        self._span.set_attributes(attributes)
        if status >= 500:
            self._span.set_attribute("error.type", rule or str(status))
            self._span.set_status(Status(StatusCode.ERROR))

    def timed(self, stage: str, work: Callable[[A], R], argument: A, beside: Sequence["Trace"] = ()) -> R:
        """Do a stage's work in a span of its own, and in the same span of the other requests that it is done for."""
        began = time.time_ns()
        spans = [one._child(stage, began) for one in (self, *beside)]
        try:
            return work(argument)
        except Exception as fault:
            for span in spans:
                _fail(span, fault)
            raise
        finally:
            for span in spans:
                span.end()

    def queued(self) -> None:
        """Begin to wait."""
        self._queued = time.time_ns()

    def dequeued(self) -> None:
        """Have waited."""
        self._child("queue", self._queued).end()

    @contextlib.contextmanager
    def scoring(self, beside: Sequence["Trace"], rows: int) -> Iterator[str]:
        """Time a call of the model for a batch; gives the traceparent for whoever is called.

        The one span of the batch is a child of this request's, linked with those of all in the batch.

        Args:
            beside: The other traced requests of the batch.
            rows: Of the whole batch, traced or not.
        """
        span = self._child("score", time.time_ns(), self._kind)
        span.set_attributes({"flywheel.backend": self._tracing.source.backend, "flywheel.rows": rows})
        context = span.get_span_context()
        for one in (self, *beside):
            span.add_link(one._span.get_span_context())
        for one in beside:
            one._span.add_link(context)
        try:
            yield str(Traceparent(context.trace_id, context.span_id))
        except Exception as fault:
            _fail(span, fault)
            raise
        finally:
            span.end()

    @property
    def _kind(self) -> SpanKind:
        return SpanKind.CLIENT if self._tracing.source.backend == "mlflow" else SpanKind.INTERNAL

    def _child(self, name: str, began: int, kind: SpanKind = SpanKind.INTERNAL) -> Span:
        return self._tracing.tracer.start_span(name, self._inside, kind, start_time=began)


def _remote(caller: Traceparent) -> Span:
    flags = TraceFlags(TraceFlags.SAMPLED)
    return NonRecordingSpan(SpanContext(caller.trace_id, caller.span_id, is_remote=True, trace_flags=flags))


def _fail(span: Span, fault: Exception) -> None:
    """Name the fault of a stage, by its class, since its text may hold a client's values; a refusal is no error."""
    if isinstance(fault, RefusalError):
        span.set_attribute("error.type", fault.rule)
        return
    span.set_attribute("error.type", type(fault).__name__)
    span.set_status(Status(StatusCode.ERROR))
