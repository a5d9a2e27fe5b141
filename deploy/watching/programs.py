"""Whether the supervisor's programs run, and how often each was started again: workers, agents, the shipper.

The supervisor keeps no count, so a program that has another process than at the last look was restarted at least once.
"""

from collections.abc import Callable, Mapping

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from flywheel.errors import StackError
from flywheel.stack.supervisor import ProgramState

States = Callable[[], Mapping[str, ProgramState]]
log = structlog.get_logger()


class Programs:
    """Gauges and counters of the programs.

    Args:
        states: Returns the state of each by name; raises StackError while the supervisor does not answer.
        registry: Where they are told.
    """

    def __init__(self, states: States, registry: CollectorRegistry) -> None:
        self._states = states
        self._pids: dict[str, int | None] = {}
        self._answers = Gauge("flywheel_supervisor_up", "1 if the supervisor answers.", registry=registry)
        self._running = Gauge("flywheel_program_running", "1 while it runs.", ("program",), registry=registry)
        self._restarts = Counter(
            "flywheel_program_restarts", "Times it was seen with another process.", ("program",), registry=registry
        )

    def look(self) -> None:
        """Ask the supervisor once."""
        try:
            states = self._states()
        except StackError as fault:
            log.warning("programs unknown", reason=str(fault))
            self._answers.set(0)
            return
        self._answers.set(1)
        for name in self._pids.keys() - states.keys():
            self._forget(name)
        for name, state in states.items():
            self._running.labels(name).set(float(state.state == "RUNNING"))
            self._restarts.labels(name).inc(self._was_restarted(name, state.pid))
            self._pids[name] = state.pid or self._pids.get(name)

    def _was_restarted(self, name: str, pid: int | None) -> bool:
        former = self._pids.get(name)
        return pid is not None and former is not None and pid != former

    def _forget(self, name: str) -> None:
        del self._pids[name]
        self._running.remove(name)
        self._restarts.remove(name)
