"""Which requests are traced, and what their spans say; OpenTelemetry's own SDK, whose spans stay in this process."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.trace import SpanKind, StatusCode
from structlog.testing import capture_logs

from deploy.agent.backends.backend import ScorerError
from deploy.agent.grpc.service import NAME
from deploy.agent.outputs import Outputs
from deploy.agent.refusal import RefusalError
from deploy.agent.telemetry.traceparent import Traceparent, read_traceparent
from flywheel.contract import ValidRow
from tests.deploy.agent.grpc.test_service import running, typed
from tests.deploy.agent.rest.serving import Served, serving
from tests.deploy.agent.telemetry.spans import Kept, context_of, parent_of, told
from tests.deploy.conftest import row

CALLER = Traceparent(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331)
UNSAMPLED = Traceparent(CALLER.trace_id, CALLER.span_id, sampled=False)
STAGES = ["append", "queue", "score", "validate"]


async def ask(served: Served, caller: Traceparent | str = CALLER, **changes: object) -> int:
    headers = {"content_type": "application/json", "traceparent": str(caller)}
    return (await served.ask("/invocations", {"instances": [row(**changes)]}, **headers)).status


async def test_a_sampled_request_has_a_span_with_one_child_for_each_stage() -> None:
    kept = Kept()
    async with serving(tracing=kept.tracing) as served:
        assert await ask(served) == 200
    (request,) = kept.named("POST /invocations")
    assert (context_of(request).trace_id, parent_of(request)) == (CALLER.trace_id, CALLER.span_id)
    assert request.kind is SpanKind.SERVER
    assert request.status.status_code is StatusCode.UNSET
    wanted = {"http.request.method": "POST", "http.route": "/invocations", "http.response.status_code": 200}
    wanted |= {"flywheel.use_case": "tiny", "flywheel.version": "1", "flywheel.rows": 1}
    assert wanted.items() <= told(request).items()
    children = [span for span in kept.spans if parent_of(span) == context_of(request).span_id]
    assert sorted(span.name for span in children) == STAGES
    assert {context_of(span).trace_id for span in children} == {CALLER.trace_id}
    began, ended = request.start_time, request.end_time
    assert all(began <= span.start_time <= span.end_time <= ended for span in children)  # type: ignore[operator]


async def test_the_request_id_of_a_record_finds_its_trace() -> None:
    kept = Kept(percent=100)
    async with serving(tracing=kept.tracing) as served:
        await served.ask("/invocations", {"instances": [row()]}, content_type="application/json")
    (request,) = kept.named("POST /invocations")
    assert told(request)["flywheel.request_id"] == served.records()[0]["request_id"]


@pytest.mark.parametrize("flags", ["00", "02", "fe"])
async def test_a_callers_decision_counts_for_more_than_the_share(flags: str) -> None:
    kept = Kept(percent=100)
    async with serving(tracing=kept.tracing) as served:
        assert await ask(served, f"{str(CALLER)[:-2]}{flags}") == 200
        assert kept.spans == []
        assert (await served.ask("/ping", method="GET", traceparent=str(CALLER))).status in (200, 503)
        assert kept.spans == []  # probes are no traffic


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 100), st.binary(max_size=60).filter(lambda value: not value.endswith(b"-00")))
def test_without_a_decision_the_share_is_traced(percent: int, garbage: bytes) -> None:
    chances = iter(number / 100 for number in range(100))
    kept = Kept(percent, lambda: next(chances))
    headers = {b"traceparent": garbage} if garbage else {}
    traced = [kept.tracing.request(headers, "POST", "/invocations") is not None for _ in range(100)]
    assert traced == [True] * percent + [False] * (100 - percent)


async def test_a_trace_that_begins_here_has_no_parent_and_stands_in_the_access_log() -> None:
    kept = Kept(percent=100)
    with capture_logs() as lines:
        async with serving(tracing=kept.tracing) as served:
            await served.ask("/invocations", {"instances": [row(count=1.5)]}, content_type="application/json")
    (request,) = kept.named("POST /invocations")
    assert request.parent is None
    (line,) = [line for line in lines if line["event"] == "request refused"]
    assert line["trace_id"] == f"{context_of(request).trace_id:032x}"


async def test_a_refused_request_names_the_rule_and_is_no_error_of_ours() -> None:
    kept = Kept()
    async with serving(tracing=kept.tracing) as served:
        assert await ask(served, count=1.5) == 422
    (request,) = kept.named("POST /invocations")
    assert (told(request)["http.response.status_code"], told(request)["flywheel.rule"]) == (422, "type")
    assert request.status.status_code is StatusCode.UNSET
    (validate,) = kept.named("validate")
    assert told(validate)["error.type"] == "type"
    assert kept.named("queue") == kept.named("score") == kept.named("append") == []


async def test_a_model_that_fails_is_an_error_of_its_call_and_of_the_request() -> None:
    async def failing(rows: list[ValidRow], timeout: float, traceparent: str | None = None) -> list[Outputs | None]:
        raise ScorerError("a secret of the client")

    kept = Kept()
    async with running(scorer=failing, tracing=kept.tracing) as served:
        with pytest.raises(RefusalError):
            await served.infer(typed(1), traceparent=str(CALLER))
    (request,) = kept.named(f"{NAME}/ModelInfer")
    wanted = {"rpc.system.name": "grpc", "rpc.method": f"{NAME}/ModelInfer", "rpc.response.status_code": "UNAVAILABLE"}
    assert wanted.items() <= told(request).items()
    (score,) = kept.named("score")
    assert (told(score)["error.type"], told(request)["error.type"]) == ("ScorerError", "scorer")
    assert {request.status.status_code, score.status.status_code} == {StatusCode.ERROR}
    assert not any("secret" in str(span.to_json()) for span in kept.spans)


async def test_a_batch_is_one_span_that_is_linked_with_each_of_its_requests() -> None:
    asked: list[str | None] = []

    async def score(rows: list[ValidRow], timeout: float, traceparent: str | None = None) -> list[Outputs | None]:
        asked.append(traceparent)
        return [{"probability": 0.5} for _ in rows]

    kept = Kept()
    callers = [Traceparent(number, number) for number in range(1, 5)]
    async with serving(tracing=kept.tracing, score=score) as served:
        await asyncio.gather(*(ask(served, caller) for caller in [*callers, UNSAMPLED]))
    (batch,) = kept.named("score")
    requests = kept.named("POST /invocations")
    assert len(requests) == 4
    assert {link.context.span_id for link in batch.links} == {context_of(span).span_id for span in requests}
    assert told(batch) == {"flywheel.backend": "mlflow", "flywheel.rows": 5}
    assert batch.kind is SpanKind.CLIENT
    assert asked == [str(Traceparent(context_of(batch).trace_id, context_of(batch).span_id))]
    elsewhere = [span for span in requests if context_of(span).span_id != parent_of(batch)]
    assert [link.context.span_id for span in elsewhere for link in span.links] == [context_of(batch).span_id] * 3
    assert len(kept.named("append")) == len(kept.named("queue")) == 4


async def test_untraced_requests_hand_the_model_no_traceparent() -> None:
    asked: list[str | None] = []

    async def score(rows: list[ValidRow], timeout: float, traceparent: str | None = None) -> list[Outputs | None]:
        asked.append(traceparent)
        return [{"probability": 0.5} for _ in rows]

    async with serving(tracing=Kept().tracing, score=score) as served:
        assert await ask(served, UNSAMPLED) == 200
    assert asked == [None]


async def test_a_record_that_cannot_be_written_is_an_error_of_append() -> None:
    def full(lines: bytes) -> None:
        raise OSError("no space")

    kept = Kept()
    async with serving(tracing=kept.tracing, append=full) as served:
        assert await ask(served) == 503
    (append,) = kept.named("append")
    assert (append.status.status_code, told(append)["error.type"]) == (StatusCode.ERROR, "OSError")


async def test_a_client_that_goes_away_leaves_a_span_that_says_so() -> None:
    never = asyncio.Event()

    async def slow(rows: list[ValidRow], timeout: float, traceparent: str | None = None) -> list[Outputs | None]:
        await never.wait()
        return []

    kept = Kept()
    async with serving(tracing=kept.tracing, score=slow) as served:
        asking = asyncio.create_task(ask(served))
        while not kept.named("queue"):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    (request,) = kept.named("POST /invocations")
    assert told(request)["error.type"] == "cancelled"
    assert "http.response.status_code" not in told(request)


def test_what_the_score_span_hands_on_is_a_traceparent() -> None:
    kept = Kept(backend="onnx")
    trace = kept.tracing.request({b"traceparent": str(CALLER).encode()}, "POST", "/invocations")
    assert trace is not None
    with trace, trace.scoring([], 1) as traceparent:
        said = read_traceparent(traceparent.encode())
    (score,) = kept.named("score")
    assert said == Traceparent(CALLER.trace_id, context_of(score).span_id)
    assert score.kind is SpanKind.INTERNAL  # ONNX runs in this process
