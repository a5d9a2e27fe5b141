"""One trace from Envoy through the agent to the worker: a real Envoy, agents, a scorer, and a receiver of OTLP."""

import asyncio
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import orjson
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from deploy.agent.grpc.service import NAME
from flywheel.errors import SpecError
from flywheel.serving import Observability, load_serving
from flywheel.stack.tracing import collector_cluster, tracing_section
from tests.deploy.agent.grpc.test_service import Ask, typed
from tests.deploy.conftest import RunningAgent, free_port, row, wait_for
from tests.platform.conftest import StartEnvoy
from tests.platform.otlp_receiver import Receiver, Relay, running

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{PARENT}-01"
StartAgent = Callable[..., RunningAgent]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running(Receiver()) as server:
        yield server


def serving(port: int) -> str:
    return f'observability: {{otlp: "http://127.0.0.1:{port}", sample_percent: 100}}'


def get(url: str, **headers: str) -> int:
    asked = urllib.request.Request(url, headers=headers)  # noqa: S310  # http, of our own
    with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310
        return int(answer.status)


def predict(url: str, **headers: str) -> int:
    body = orjson.dumps({"instances": [row()]})
    given = {"content-type": "application/json", **headers}
    asked = urllib.request.Request(f"{url}/invocations", body, given)  # noqa: S310  # http, of our own
    with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
        return int(answer.status)


def children(spans: list[Span], of: Span) -> list[Span]:
    return [span for span in spans if span.parent_span_id == of.span_id]


def attributes(span: Span) -> dict[str, object]:
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in span.attributes}


def test_envoy_continues_a_callers_trace_and_hands_it_on(start_envoy: StartEnvoy, receiver: Receiver) -> None:
    port = receiver.server_address[1]
    envoy = start_envoy(serving(port), upstream=port)
    assert get(envoy.url, traceparent=SAMPLED) == 200
    wait_for(lambda: len(receiver.spans) >= 2, "the export of both spans")
    assert {span.trace_id.hex() for span in receiver.spans} == {TRACE}
    door = next(span for span in receiver.spans if span.parent_span_id.hex() == PARENT)
    call = next(span for span in receiver.spans if span.parent_span_id == door.span_id)
    assert receiver.traceparents == [f"00-{TRACE}-{call.span_id.hex()}-01"]


def test_a_request_is_one_trace_from_envoy_through_the_agent_to_the_worker(
    start_envoy: StartEnvoy, start_agent: StartAgent, tiny_scorer: str, receiver: Receiver, tmp_path: Path
) -> None:
    with running(Relay(tiny_scorer)) as relay:
        agent = start_agent(relay.url, options=("--otlp", receiver.url, "--trace-percent", "0"))
        relay.traceparents.clear()
        port = int(agent.url.rpartition(":")[2])
        envoy = start_envoy(serving(receiver.server_address[1]), upstream=port)
        assert predict(envoy.url, traceparent=SAMPLED, **{"x-request-id": "r-1"}) == 200
        wait_for(lambda: len(receiver.spans) >= 7, "the export of all spans")
        seen = list(relay.traceparents)
    assert {span.trace_id.hex() for span in receiver.spans} == {TRACE}
    (door,) = (span for span in receiver.spans if span.parent_span_id.hex() == PARENT)
    assert attributes(door)["guid:x-request-id"] == "r-1"  # as it came, though Envoy's own would be a UUID
    (call,) = children(receiver.spans, door)
    (request,) = children(receiver.spans, call)
    stages = children(receiver.spans, request)
    services = [receiver.services[span.span_id] for span in (door, call, request, *stages)]
    assert services == ["flywheel-gateway"] * 2 + ["flywheel-agent"] * 5
    assert request.name == "POST /invocations"
    assert attributes(request)["flywheel.request_id"] == agent.records()[0]["request_id"] == "r-1"
    ordered = sorted(stages, key=lambda span: span.start_time_unix_nano)
    assert [span.name for span in ordered] == ["validate", "queue", "score", "append"]
    score = ordered[2]
    assert seen == [f"00-{TRACE}-{score.span_id.hex()}-01"]  # what the worker was asked with
    assert [link.span_id for link in score.links] == [request.span_id]
    access_log = tmp_path / "logs" / "gateway.jsonl"
    wait_for(lambda: bool(access_log.read_bytes()), "the line in the access log")
    line = orjson.loads(access_log.read_bytes())
    assert (line["request_id"], line["trace_id"]) == ("r-1", TRACE)  # by which a record leads to its trace


async def test_a_grpc_call_is_traced_by_its_metadata(
    start_agent: StartAgent, tiny_scorer: str, receiver: Receiver
) -> None:
    port = free_port()
    options = ("--otlp", receiver.url, "--trace-percent", "0", "--grpc-port", str(port))
    start_agent(tiny_scorer, options=options)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        infer: Ask = channel.unary_unary(f"/{NAME}/ModelInfer")
        await infer(typed(1).SerializeToString(), metadata=(("traceparent", SAMPLED),))
    await asyncio.to_thread(wait_for, lambda: len(receiver.spans) >= 5, "the export of all spans")
    (request,) = (span for span in receiver.spans if span.parent_span_id.hex() == PARENT)
    assert request.name == f"{NAME}/ModelInfer"
    assert attributes(request)["rpc.response.status_code"] == "OK"
    assert {span.name for span in children(receiver.spans, request)} == {"validate", "queue", "score", "append"}


def test_what_the_gateway_does_not_sample_makes_no_span_anywhere(
    start_envoy: StartEnvoy, start_agent: StartAgent, tiny_scorer: str, receiver: Receiver
) -> None:
    with running(Relay(tiny_scorer)) as relay:
        agent = start_agent(relay.url, options=("--otlp", receiver.url, "--trace-percent", "100"))
        relay.traceparents.clear()
        nothing = serving(receiver.server_address[1]).replace("100", "0")
        envoy = start_envoy(nothing, upstream=int(agent.url.rpartition(":")[2]))
        assert [predict(envoy.url) for _ in range(20)] == [200] * 20
        assert relay.traceparents == [None] * 20
        assert (
            predict(agent.url) == 200
        )  # past the gateway nobody has decided: the agent does, and its export is a mark
        wait_for(lambda: len(receiver.named("POST /invocations")) > 0, "a span of the agent's own")
    assert len({span.trace_id for span in receiver.spans}) == 1


def test_a_caller_that_traces_is_traced_whatever_the_share(start_envoy: StartEnvoy, receiver: Receiver) -> None:
    port = receiver.server_address[1]
    envoy = start_envoy(serving(port).replace("100", "0"), upstream=port)
    statuses = [get(envoy.url), get(envoy.url, traceparent=SAMPLED), get(envoy.url)]
    assert statuses == [200] * 3
    wait_for(lambda: len(receiver.spans) >= 2, "the export of both spans")
    assert {span.trace_id.hex() for span in receiver.spans} == {TRACE}
    assert [value[-3:] for value in receiver.traceparents] == ["-00", "-01", "-00"]


def test_of_the_others_a_share_is_traced(start_envoy: StartEnvoy, receiver: Receiver) -> None:
    port = receiver.server_address[1]
    envoy = start_envoy(serving(port).replace("100", "50"), upstream=port)
    for _ in range(200):
        get(envoy.url)
    sampled = sum(value.endswith("-01") for value in receiver.traceparents)
    assert 50 < sampled < 150  # by chance outside of this once in 10 ** 12


def test_predictions_go_on_while_the_collector_is_away_and_it_is_said_once(
    start_agent: StartAgent, tiny_scorer: str
) -> None:
    port = free_port()
    agent = start_agent(tiny_scorer, options=("--otlp", f"http://127.0.0.1:{port}", "--trace-percent", "100"))
    lost = "traces are lost"
    assert [predict(agent.url) for _ in range(50)] == [200] * 50
    wait_for(lambda: lost in agent.log.read_text(), "the line about the collector")
    assert [predict(agent.url) for _ in range(50)] == [200] * 50
    with running(Receiver(port)) as receiver:
        wait_for(lambda: bool(predict(agent.url) == 200 and receiver.spans), "spans at a collector that came back")
        wait_for(lambda: "collected again" in agent.log.read_text(), "the line that it is back")
    lines = [orjson.loads(line) for line in agent.log.read_text().splitlines()]
    assert [line["event"].partition(":")[0] for line in lines if "collector" in line] == [
        "traces are lost",
        "traces are collected again",
    ]
    assert all("event" in line for line in lines)  # nothing but our own lines
    agent.process.terminate()
    assert agent.process.wait(20) == 0


@pytest.mark.parametrize("status", [200, 503])
def test_an_agent_ends_in_time_whatever_its_collector_does(
    start_agent: StartAgent, tiny_scorer: str, receiver: Receiver, status: int
) -> None:
    receiver.status = status
    if status == 200:
        receiver.open.clear()  # it takes what is sent and never answers; 503 would be tried again
    agent = start_agent(tiny_scorer, options=("--otlp", receiver.url, "--trace-percent", "100"))
    assert [predict(agent.url) for _ in range(100)] == [200] * 100
    agent.process.terminate()
    assert agent.process.wait(20) == 0
    receiver.open.set()


def test_what_is_sampled_when_the_agent_ends_is_still_sent(
    start_agent: StartAgent, tiny_scorer: str, receiver: Receiver
) -> None:
    agent = start_agent(tiny_scorer, options=("--otlp", receiver.url, "--trace-percent", "100"))
    assert predict(agent.url) == 200
    agent.process.terminate()
    assert agent.process.wait(20) == 0
    assert sorted(span.name for span in receiver.spans) == ["POST /invocations", "append", "queue", "score", "validate"]


def test_without_a_collector_requests_are_answered(start_envoy: StartEnvoy, receiver: Receiver) -> None:
    envoy = start_envoy(serving(free_port()), upstream=receiver.server_address[1])
    assert [get(envoy.url) for _ in range(50)] == [200] * 50


def test_nothing_is_traced_unless_it_is_asked_for() -> None:
    assert tracing_section(Observability()) is None
    assert collector_cluster(Observability()) is None


def test_an_address_that_is_no_url_is_refused_with_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "serving.yaml").write_text('observability: {otlp: "collector:4318"}')
    with pytest.raises(SpecError, match=r"observability\.otlp.* is wrong: .*give http"):
        load_serving(tmp_path)
