"""GRPCInferenceService: calls of the Open Inference Protocol turned into calls of the data plane.

Requests arrive as bytes and are parsed here, because what gRPC itself cannot parse it answers with INTERNAL, as if the
fault were ours. The messages' package is that of every other implementation, so a process that has also imported
another one's generated messages cannot import these.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import structlog
from google.protobuf.message import DecodeError, Message

from deploy.agent.caller import answer_headers, counted_arm, read_caller
from deploy.agent.dataplane import DataPlane
from deploy.agent.grpc import open_inference_pb2 as wire
from deploy.agent.grpc.codes import code_of
from deploy.agent.grpc.messages import read_tensors, write_tensors
from deploy.agent.health import Health
from deploy.agent.limits import Limits
from deploy.agent.recording import Caller
from deploy.agent.refusal import RefusalError
from deploy.agent.served_model import ServedModel
from deploy.agent.telemetry.access_log import AccessLog
from deploy.agent.telemetry.metrics import Metrics
from deploy.agent.tensors import TensorReader, shown

if TYPE_CHECKING:  # OpenTelemetry is not loaded in an agent without a collector
    from deploy.agent.telemetry.tracing import Trace, Tracing

PROTOCOL = "v2-grpc"
NAME = "inference.GRPCInferenceService"
Headers = Mapping[bytes, bytes]
M = TypeVar("M", bound=Message)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Call:
    """One call: its message's bytes, its metadata, the seconds until its deadline, and its spans, if it has them."""

    message: bytes
    headers: Headers
    remaining: float | None = None
    trace: "Trace | None" = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer's bytes and trailing metadata."""

    message: bytes
    trailing: tuple[tuple[bytes, bytes], ...] = ()


Method = Callable[[Call], Awaitable[Reply]]


class InferenceService:
    """Serves one version. Each method raises RefusalError where it has no answer."""

    def __init__(
        self,
        dataplane: DataPlane,
        health: Health,
        limits: Limits,
        metrics: Metrics,
        *,
        tracing: "Tracing | None" = None,
    ) -> None:
        self._dataplane = dataplane
        self._health = health
        self._metrics = metrics
        self._tracing = tracing
        self._access_log = AccessLog(dataplane.identity.use_case, dataplane.identity.version)
        self._model = ServedModel(dataplane.identity, dataplane.contract)
        self._reader = TensorReader(dataplane.contract, limits.request_rows)

    def methods(self) -> dict[str, Method]:
        """Return the methods by name."""
        return {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ServerMetadata": self._server_metadata,
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model_metadata,
            "ModelInfer": self._traced_infer,
        }

    async def _server_live(self, call: Call) -> Reply:
        return _reply(wire.ServerLiveResponse(live=True))

    async def _server_ready(self, call: Call) -> Reply:
        return _reply(wire.ServerReadyResponse(ready=self._health.ready))

    async def _server_metadata(self, call: Call) -> Reply:
        return _reply(wire.ServerMetadataResponse(**self._model.server()))

    async def _model_ready(self, call: Call) -> Reply:
        asked = _parse(wire.ModelReadyRequest, call.message)
        self._check_model(asked.name, asked.version)
        return _reply(wire.ModelReadyResponse(ready=self._health.ready))

    async def _model_metadata(self, call: Call) -> Reply:
        asked = _parse(wire.ModelMetadataRequest, call.message)
        self._check_model(asked.name, asked.version)
        return _reply(wire.ModelMetadataResponse(**self._model.metadata()))

    async def _traced_infer(self, call: Call) -> Reply:
        trace = None if self._tracing is None else self._tracing.call(call.headers, f"{NAME}/ModelInfer")
        if trace is None:
            return await self._counted_infer(call)
        with trace:
            return await self._counted_infer(replace(call, trace=trace))

    async def _counted_infer(self, call: Call) -> Reply:
        began = time.perf_counter()
        try:
            reply = await self._infer(call)
        except RefusalError as refusal:
            self._tell(call, refusal, time.perf_counter() - began)
            raise
        except Exception as fault:  # the process's edge: the log gets the trace, the client a sentence
            log.exception("unexpected fault", path="ModelInfer")
            failure = RefusalError("scorer", "The agent failed unexpectedly. Try again.")
            self._tell(call, failure, time.perf_counter() - began)
            raise failure from fault
        self._tell(call, None, time.perf_counter() - began)
        return reply

    def _tell(self, call: Call, refused: RefusalError | None, seconds: float) -> None:
        status, rule = (200, None) if refused is None else (refused.status, refused.rule)
        arm = counted_arm(call.headers)
        self._metrics.answered(PROTOCOL, arm, status, seconds)
        if rule is not None:
            self._metrics.refused(PROTOCOL, rule)
        if call.trace is not None:
            code = "OK" if refused is None else code_of(refused).name
            call.trace.answered(status, arm, rule, {"rpc.response.status_code": code})
        self._access_log.answered(call.headers, PROTOCOL, status, arm=arm, rule=rule, seconds=seconds, trace=call.trace)

    async def _infer(self, call: Call) -> Reply:
        asked = _parse(wire.ModelInferRequest, call.message)
        self._check_model(asked.model_name, asked.model_version)
        wanted = [output.name for output in asked.outputs] or None
        self._model.check_outputs(wanted)
        identity = self._dataplane.identity
        caller = _with_deadline(read_caller(call.headers, call.trace, version=identity.version), call.remaining)
        answer = await self._dataplane.predict(self._reader.rows(read_tensors(asked)), caller)
        response = wire.ModelInferResponse(model_name=identity.use_case, model_version=identity.version, id=asked.id)
        write_tensors(response, self._model.tensors(answer, wanted), raw=bool(asked.raw_input_contents))
        version = (b"x-flywheel-version", identity.version.encode())
        return _reply(response, (*answer_headers(answer, caller), version))

    def _check_model(self, name: str, version: str) -> None:
        identity = self._dataplane.identity
        if name != identity.use_case or version not in ("", identity.version):
            found = f"Model {shown(name)}" + (f" version {shown(version)}" if version else "")
            served = f"'{identity.use_case}' version '{identity.version}'"
            raise RefusalError("path", f"{found} is not served here. Ask for {served}.")


def _parse(kind: type[M], message: bytes) -> M:
    try:
        return kind.FromString(message)
    except DecodeError as fault:
        raise RefusalError("form", f"The message is no {kind.DESCRIPTOR.name}. Generate the client anew.") from fault


def _reply(message: Message, trailing: tuple[tuple[bytes, bytes], ...] = ()) -> Reply:
    return Reply(message.SerializeToString(), trailing)


def _with_deadline(caller: Caller, remaining: float | None) -> Caller:
    """Return the caller with the shorter of the two: what gRPC says and what the gateway says."""
    if remaining is None:
        return caller
    seconds = max(remaining, 0.001)
    return replace(caller, patience=seconds if caller.patience is None else min(caller.patience, seconds))
