"""The agent's gRPC server: a port of its own on the same event loop; refusals become gRPC's status codes."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from deploy.agent.grpc.codes import code_of
from deploy.agent.grpc.service import NAME, Call, InferenceService, Method
from deploy.agent.health import Health
from deploy.agent.limits import Limits
from deploy.agent.refusal import RefusalError
from flywheel.errors import StackError

# grpc.health.v1.HealthCheckResponse, whose only field is a status: 1 is SERVING, 2 NOT_SERVING.
HEALTH, SERVING, NOT_SERVING = "grpc.health.v1.Health", b"\x08\x01", b"\x08\x02"
STREAMS = 1024

Context = grpc.aio.ServicerContext[bytes, bytes]
Behaviour = Callable[[bytes, Context], Awaitable[bytes]]


@contextlib.asynccontextmanager
async def serving(address: str, service: InferenceService, health: Health, limits: Limits) -> AsyncIterator[int]:
    """Serve while the context lasts, and then finish what is in flight; yields the port.

    Args:
        address: Host and port; port 0 takes a free one.
        service: Answers.
        health: What the standard health check says.
        limits: `body_bytes` bounds a message, `deadline_seconds` what is waited for in the end.

    Raises:
        StackError: The address cannot be had.
    """
    options = [
        ("grpc.max_receive_message_length", limits.body_bytes),
        ("grpc.max_concurrent_streams", STREAMS),
        ("grpc.so_reuseport", 0),  # else a second agent would share the port and take half of the calls
    ]
    server = grpc.aio.server(options=options)
    methods = {name: _unary(_behaviour(method)) for name, method in service.methods().items()}
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(NAME, methods),
            grpc.method_handlers_generic_handler(HEALTH, {"Check": _unary(_health_check(health))}),
        )
    )
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as fault:
        raise StackError(f"gRPC cannot listen on {address}. Free the port or choose another.") from fault
    await server.start()
    try:
        yield port
    finally:
        await server.stop(limits.deadline_seconds)


def _unary(behaviour: Behaviour) -> Any:
    return grpc.unary_unary_rpc_method_handler(behaviour)


def _behaviour(method: Method) -> Behaviour:
    async def answer(message: bytes, context: Context) -> bytes:
        headers = {_bytes(key): _bytes(value) for key, value in context.invocation_metadata() or ()}
        try:
            reply = await method(Call(message, headers, context.time_remaining()))
        except RefusalError as refusal:
            if refusal.status == 429:
                context.set_trailing_metadata((("grpc-retry-pushback-ms", str(refusal.retry_after * 1000)),))
            await context.abort(code_of(refusal), refusal.sentence)
        context.set_trailing_metadata(tuple((name.decode(), value.decode()) for name, value in reply.trailing))
        return reply.message

    return answer


def _health_check(health: Health) -> Behaviour:
    async def check(message: bytes, context: Context) -> bytes:
        return SERVING if health.ready else NOT_SERVING

    return check


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
