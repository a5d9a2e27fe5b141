"""Whether serving.yaml can be had: what its replicas and workers weigh, and whom it speaks of. Pure."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from flywheel.errors import SpecError
from flywheel.serving import NAME, Serving, UseCaseServing

# Measured: an agent with ONNX at most 180 MB; an idle `mlflow models serve` is two processes of 250 and 300 MB.
AGENT_MB = 180
WORKER_MB = 550


def needed_mb(serving: UseCaseServing) -> int:
    """Return what one version weighs, in MB; a process with a limit of its own, at most that."""
    workers = 0 if serving.backend == "onnx" else serving.workers
    agent = serving.resources.agent.memory_mb or AGENT_MB
    worker = serving.resources.worker.memory_mb or WORKER_MB
    return serving.replicas * agent + workers * worker


def check_capacity(serving: Serving, memory_mb: int) -> None:
    """Check that one version of each section fits into this machine's memory.

    Raises:
        SpecError: It does not.
    """
    sections = {"defaults": serving.defaults} | {f"use_cases.{name}": one for name, one in serving.use_cases.items()}
    for name, section in sections.items():
        check_section(name, section, memory_mb)


def check_section(name: str, section: UseCaseServing, memory_mb: int) -> None:
    """Check that one version of a section fits into this machine's memory.

    Raises:
        SpecError: It does not.
    """
    needed = needed_mb(section)
    if needed > memory_mb:
        raise SpecError(
            f"{NAME}: {name}: {section.replicas} replicas and {section.workers} workers of one version need about "
            f"{needed:,} MB, and this machine has {memory_mb:,} MB. Ask for fewer."
        )


def unknown_use_cases(serving: Serving, known: Iterable[str]) -> list[str]:
    """Return the names and patterns of serving.yaml that no use case has."""
    names = list(known)
    return [pattern for pattern in serving.use_cases if not any(fnmatchcase(name, pattern) for name in names)]


def memory_mb(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Return the machine's memory in MB."""
    total = next(line for line in meminfo.read_text().splitlines() if line.startswith("MemTotal:"))
    return int(total.split()[1]) // 1024
