"""Starts one agent and wires its parts.

    python -m deploy.agent --package DIR --usecase NAME --version V --digest D --port P --spool DIR
                           --backend mlflow --scorer URL[,URL…] | --backend onnx  [--serving JSON]

SIGTERM: `/ping` says no, so that the router looks elsewhere; then no new connection is taken, what is in flight is
finished and recorded, and the process ends with 0.
"""

import argparse
import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import structlog
import uvicorn
import uvloop
from pydantic import ValidationError

from deploy.agent.backends.backend import Backend
from deploy.agent.backends.pool import Pool
from deploy.agent.backends.worker import Worker
from deploy.agent.dataplane import DataPlane, Identity
from deploy.agent.health import Health
from deploy.agent.http import Headers
from deploy.agent.limits import Limits
from deploy.agent.package import ServedPackage, check_digest, read_served
from deploy.agent.rest.app import Paths
from deploy.agent.server import Asgi
from deploy.agent.spool import Spool
from deploy.agent.telemetry.metrics import Metrics
from flywheel.contract import Contract
from flywheel.errors import FlywheelError, UsageError
from flywheel.serving import UseCaseServing
from flywheel.telemetry import configure_logs

# Longer than Envoy's idle time for upstream connections (an hour), so that the agent never closes one under a request.
KEEP_ALIVE_SECONDS = 3900

log = structlog.get_logger()


class Server(uvicorn.Server):
    """uvicorn, which leaves signals to us: its own handling would end the process by the signal instead of with 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install nothing."""
        yield


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an agent until SIGTERM or SIGINT; return the exit code."""
    options = _parse(arguments)
    configure_logs(machine=True)
    try:
        uvloop.run(_serve(options, Limits.of(_serving(options.serving))))
    except FlywheelError as fault:
        sys.stderr.write(f"Error: {fault}\n")
        return fault.exit_code
    return 0


async def _serve(options: argparse.Namespace, limits: Limits) -> None:
    check_digest(options.package, options.digest)
    package: ServedPackage = read_served(options.package)
    identity = Identity(options.usecase, options.version, options.digest)
    contract = package.contract.model_dump_json().encode()
    metrics = Metrics(identity.use_case, identity.version)
    with Spool(options.spool, contract, limits) as spool:
        async with _backend(options, package.contract) as backend:
            dataplane = DataPlane(
                identity,
                package.contract,
                score=backend.score,
                append=spool.append,
                limits=limits,
                width=backend.width,
                metrics=metrics,
            )
            health = Health(backend, dataplane.validate(package.example))
            server = _http_server(Asgi(Paths(dataplane, health, limits), _always(identity)), options, limits)
            _stop_on_signals(server, health, options.drain)
            tasks = [asyncio.create_task(dataplane.batcher.run()), asyncio.create_task(health.run())]
            gc.freeze()  # what exists now lives as long as the process: collections need not look at it
            await server.serve()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    log.info("stopped", use_case=identity.use_case, version=identity.version)


def _backend(options: argparse.Namespace, contract: Contract) -> Backend:
    if options.backend == "mlflow":
        return Pool([Worker(url, contract) for url in options.scorer.split(",")])
    from deploy.agent.backends.onnx import Onnx  # noqa: PLC0415  # 80 MB that the other backend does without

    return Onnx(options.package, contract)


def _serving(text: str) -> UseCaseServing:
    try:
        return UseCaseServing.model_validate_json(text)
    except ValidationError as fault:
        first = fault.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise UsageError(f"--serving: {where}: {first['msg']}. Give a section of serving.yaml as JSON.") from fault


def _always(identity: Identity) -> Headers:
    return [(b"x-flywheel-version", identity.version.encode())]


def _http_server(app: Asgi, options: argparse.Namespace, limits: Limits) -> Server:
    return Server(
        uvicorn.Config(
            app,
            host=options.host,
            port=options.port,
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=int(limits.deadline_seconds) + 5,
        )
    )


def _stop_on_signals(server: Server, health: Health, drain_seconds: float) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        health.draining = True
        loop.call_later(drain_seconds, setattr, server, "should_exit", True)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.agent", description="Serve one version of one use case.")
    parser.add_argument("--package", type=Path, required=True, help="the version's model folder")
    parser.add_argument("--usecase", required=True, help="name of the use case")
    parser.add_argument("--version", required=True, help="version in the registry")
    parser.add_argument("--digest", required=True, help="digest that was approved")
    parser.add_argument("--backend", choices=("mlflow", "onnx"), default="mlflow", help="what scores (mlflow)")
    parser.add_argument(
        "--scorer", default="", help="URLs of this version's `mlflow models serve`, with commas between"
    )
    parser.add_argument("--serving", default="{}", help="the use case's section of serving.yaml, as JSON")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--grpc-port", type=int, default=0, help="for the Open Inference Protocol (0: none)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--spool", type=Path, required=True, help="folder for prediction records")
    parser.add_argument("--drain", type=float, default=1.0, help="seconds between SIGTERM and closing the door")
    options = parser.parse_args(arguments)
    if options.backend == "mlflow" and not options.scorer:
        parser.error("--backend mlflow wants --scorer URL")
    return options


if __name__ == "__main__":
    sys.exit(main())
