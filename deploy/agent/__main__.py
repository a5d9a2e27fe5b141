"""Starts one agent and wires its parts.

    python -m deploy.agent --package DIR --usecase NAME --version V --digest D --port P --spool DIR
                           --backend mlflow --scorer URL[,URL…] | --backend onnx
                           | --backend constant --answer JSON  [--serving JSON]
                           [--recalibration FILE --recalibration-key FILE] [--otlp URL --trace-percent N]

SIGTERM: `/ping` says no, so that the router looks elsewhere; then no new connection is taken, what is in flight is
finished and recorded, and the process ends with 0.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import uvloop

from deploy.agent.backends.backend import Backend
from deploy.agent.backends.constant import Constant, declared_outputs
from deploy.agent.backends.pool import Pool
from deploy.agent.backends.worker import Worker
from deploy.agent.dataplane import DataPlane
from deploy.agent.health import Health
from deploy.agent.level import Level, level_of
from deploy.agent.limits import Limits
from deploy.agent.outcomes import OutcomeSpool
from deploy.agent.package import ServedPackage, check_digest, read_served
from deploy.agent.recording import Identity
from deploy.agent.rest.app import Paths
from deploy.agent.server import HttpServer
from deploy.agent.signature import read_signature
from deploy.agent.spool import Spool
from deploy.agent.telemetry.gpu import GpuCollector
from deploy.agent.telemetry.metrics import Metrics
from deploy.agent.telemetry.watch import SpoolCollector, watch_loop
from flywheel.contract import Contract
from flywheel.errors import FlywheelError
from flywheel.serving import UseCaseServing, collector_url, parse_section
from flywheel.telemetry import configure_logs

if TYPE_CHECKING:
    from deploy.agent.telemetry.tracing import Tracing

# Records and requests die by their reference counts; looking for cycles every 700 objects costs and finds nothing.
GC_THRESHOLD = (50_000, 20, 20)

log = structlog.get_logger()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an agent until SIGTERM or SIGINT; return the exit code."""
    options = _parse(arguments)
    configure_logs(machine=True)
    try:
        uvloop.run(_serve(options, parse_section(options.serving)))
    except FlywheelError as fault:
        sys.stderr.write(f"Error: {fault}\n")
        return fault.exit_code
    return 0


async def _serve(options: argparse.Namespace, serving: UseCaseServing) -> None:
    limits = Limits.of(serving)
    check_digest(options.package, options.digest)
    package: ServedPackage = read_served(options.package)
    identity = Identity(options.usecase, options.version, options.digest)
    contract = package.contract.model_dump_json().encode()
    metrics = Metrics(identity.use_case, identity.version)
    with contextlib.ExitStack() as opened:
        tracing = opened.enter_context(_tracing(options))
        spool = opened.enter_context(Spool(options.spool, contract, limits))
        async with _backend(options, package.contract) as backend:
            level = _level(options, identity, package.contract, metrics)
            dataplane = DataPlane(
                identity,
                package.contract,
                score=backend.score,
                append=spool.append,
                limits=limits,
                width=backend.width,
                remote=backend.remote,
                metrics=metrics,
                level=level,
            )
            can_record = spool.is_writable if not limits.unlogged else lambda: True
            health = Health(backend, dataplane.validate(package.example), can_record)
            signature = read_signature(options.package)
            paths = Paths(
                dataplane,
                health,
                limits,
                metrics=metrics,
                signature=signature,
                outcomes=opened.enter_context(_outcomes(options, contract, limits)),
                docs=serving.docs,
                tracing=tracing,
            )
            server = HttpServer(paths, [(b"x-flywheel-version", identity.version.encode())])
            gpus = GpuCollector()
            metrics.watch_ready(lambda: health.ready)
            metrics.watch_connections(lambda: server.open)
            if isinstance(backend, Pool):
                metrics.watch_workers(lambda: backend.live, backend.width)
            for collector in (SpoolCollector(options.spool, identity.use_case, identity.version), gpus):
                metrics.add(collector)
            work = (dataplane.batcher.run(), health.run(), watch_loop(metrics), gpus.run())
            tasks = [asyncio.create_task(one) for one in (*work, *([level.run()] if level is not None else []))]
            async with _grpc_door(
                options, limits, dataplane=dataplane, health=health, metrics=metrics, tracing=tracing
            ):
                await server.start(options.host, options.port)
                gc.set_threshold(*GC_THRESHOLD)
                gc.freeze()  # what exists now lives as long as the process: collections need not look at it
                await _until_signalled(tasks)
                health.draining = True
                await asyncio.sleep(options.drain)
                await server.stop(limits.deadline_seconds + 5)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    log.info("stopped", use_case=identity.use_case, version=identity.version)


def _grpc_door(
    options: argparse.Namespace,
    limits: Limits,
    *,
    dataplane: DataPlane,
    health: Health,
    metrics: Metrics,
    tracing: "Tracing | None",
) -> contextlib.AbstractAsyncContextManager[object]:
    if not options.grpc_port:
        return contextlib.nullcontext()
    from deploy.agent.grpc import server, service  # noqa: PLC0415  # 10 MB that an agent without this door does without

    served = service.InferenceService(dataplane, health, limits, metrics, tracing=tracing)
    return server.serving(f"{options.host}:{options.grpc_port}", served, health, limits)


def _tracing(options: argparse.Namespace) -> "contextlib.AbstractContextManager[Tracing | None]":
    if options.otlp is None:
        return contextlib.nullcontext()
    from deploy.agent.telemetry import collector, tracing  # noqa: PLC0415  # 9 MB that an agent without a collector does without

    source = tracing.Source(options.usecase, options.version, options.backend)
    return collector.collecting(options.otlp, source, options.trace_percent)


@contextlib.contextmanager
def _outcomes(options: argparse.Namespace, contract: bytes, limits: Limits) -> Iterator[OutcomeSpool | None]:
    """Open the spool of outcomes; without a folder for it, this agent takes none."""
    if options.outcomes is None:
        yield None
        return
    with Spool(options.outcomes, contract, limits) as spool:
        yield OutcomeSpool(options.usecase, spool.append)


def _backend(options: argparse.Namespace, contract: Contract) -> Backend:
    if options.backend == "constant":
        return Constant(declared_outputs(options.package, options.answer))
    if options.backend == "mlflow":
        return Pool([Worker(url, contract) for url in options.scorer.split(",")])
    from deploy.agent.backends.onnx import Onnx  # noqa: PLC0415  # 80 MB that the other backend does without

    return Onnx(options.package, contract)


def _level(options: argparse.Namespace, identity: Identity, contract: Contract, metrics: Metrics) -> Level | None:
    """Return what moves answers, with what counts now, so that the first answer is moved already."""
    file = options.recalibration if options.backend != "constant" else None  # what was declared is no estimate
    files = file, options.recalibration_key
    level = level_of(options.package, identity, [output.name for output in contract.outputs], files, metrics)
    if level is not None:
        level.look(datetime.now(UTC))
    return level


async def _until_signalled(tasks: Sequence["asyncio.Task[None]"]) -> None:
    """Return at SIGTERM or SIGINT; raise what ended one of the tasks, without which this agent is of no use."""
    came = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, came.set)
    signalled = asyncio.create_task(came.wait())
    done, _ = await asyncio.wait([signalled, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in done - {signalled}:
        task.result()


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.agent", description="Serve one version of one use case.")
    parser.add_argument("--package", type=Path, required=True, help="the version's model folder")
    parser.add_argument("--usecase", required=True, help="name of the use case")
    parser.add_argument("--version", required=True, help="version in the registry")
    parser.add_argument("--digest", required=True, help="digest that was approved")
    parser.add_argument(
        "--backend", choices=("mlflow", "onnx", "constant"), default="mlflow", help="what scores (mlflow)"
    )
    parser.add_argument(
        "--scorer", default="", help="URLs of this version's `mlflow models serve`, with commas between"
    )
    parser.add_argument("--answer", type=json.loads, help="what the constant backend answers: fallback.answer as JSON")
    parser.add_argument("--serving", default="{}", help="the use case's section of serving.yaml, as JSON")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--grpc-port", type=int, default=0, help="port of the Open Inference Protocol over gRPC (none)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--spool", type=Path, required=True, help="folder for prediction records")
    parser.add_argument("--outcomes", type=Path, help="folder for outcomes; without, POST /feedback does not exist")
    parser.add_argument("--recalibration", type=Path, help="file of the shift; without, answers are never moved")
    parser.add_argument("--recalibration-key", type=Path, help="file of the key that it is signed with")
    parser.add_argument("--otlp", type=collector_url, help="OTLP/HTTP collector; without, nothing is traced")
    parser.add_argument("--trace-percent", type=float, default=1.0, help="of what no caller decides about (1)")
    parser.add_argument("--drain", type=float, default=1.0, help="seconds between SIGTERM and closing the door")
    options = parser.parse_args(arguments)
    if options.backend == "mlflow" and not options.scorer:
        parser.error("--backend mlflow wants --scorer URL")
    if options.backend == "constant" and options.answer is None:
        parser.error("--backend constant wants --answer JSON")
    return options


if __name__ == "__main__":
    sys.exit(main())
