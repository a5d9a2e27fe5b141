"""Whether the parts of the stack answer, and how long they take to."""

import time
from collections.abc import Callable, Mapping

import structlog
from prometheus_client import CollectorRegistry, Gauge

from flywheel.connections import secrets
from flywheel.errors import StackError
from flywheel.settings import Settings
from flywheel.stack import postgres
from flywheel.stack.gateway_door import DOORMAN
from flywheel.stack.parts import all_parts
from flywheel.stack.ports import remembered_ports
from flywheel.stack.supervisor import program_path

Probe = Callable[[], str | None]
log = structlog.get_logger()


class Parts:
    """Gauges of the parts.

    Args:
        probes: By the part's name: says why it does not answer, or None.
        registry: Where they are told.
        timer: Gives monotonic seconds.
    """

    def __init__(
        self, probes: Mapping[str, Probe], registry: CollectorRegistry, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._probes, self._timer = probes, timer
        self._up = Gauge("flywheel_dependency_up", "1 if the part answers.", ("name",), registry=registry)
        self._seconds = Gauge(
            "flywheel_dependency_probe_seconds", "Time until it answered or was given up.", ("name",), registry=registry
        )

    def look(self) -> None:
        """Ask each part once."""
        for name, probe in self._probes.items():
            began = self._timer()
            self._up.labels(name).set(float(_answers(probe)))
            self._seconds.labels(name).set(self._timer() - began)


def stack_probes(settings: Settings) -> dict[str, Probe]:
    """Return a probe for each part of the stack, by its name in small letters.

    Raises:
        StackError: No stack has been started here.
    """
    ports = remembered_ports(settings)
    if ports is None:
        raise StackError(f"The ports of {settings.root} are not known. Run `flywheel up`.")
    runs = {name: program_path(settings, name).exists() for name in (postgres.NAME, DOORMAN)}
    database = secrets(settings).databases["reader"]
    parts = all_parts(settings, ports, database, embedded=runs[postgres.NAME], guarded=runs[DOORMAN])
    return {name.lower(): part.probe for name, part in parts.items()}


def _answers(probe: Probe) -> bool:
    try:
        return probe() is None
    except Exception as fault:  # noqa: BLE001  # a library may raise anything when its part is down: that is the answer
        log.warning("probe failed", reason=str(fault))
        return False
