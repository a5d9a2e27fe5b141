"""Tells Prometheus what no agent can: parts of the stack, its programs, the prediction log, processes without a port.

    python -m deploy.exporter --port P

It changes nothing, and goes on when everything else is down: that is when it is wanted. What it tells was looked at in
the last `PERIOD_SECONDS`, so a scrape never waits for a part that does not answer.
"""

import argparse
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Gauge, start_http_server
from prometheus_client.process_collector import ProcessCollector

from deploy.status.recent import Recent
from deploy.watching.parts import Parts, Probe, stack_probes
from deploy.watching.prediction_log import LoggedPredictions
from deploy.watching.programs import Programs, States
from flywheel.errors import FlywheelError
from flywheel.settings import Settings, load_settings
from flywheel.stack.supervisor import program_states
from flywheel.stopping import stop_on_signals
from flywheel.telemetry import configure_logs
from flywheel.textfile import TextfileCollector

PERIOD_SECONDS = 5.0


class Exporter:
    """What is told of one home.

    Args:
        settings: Whose home.
        probes: By the part's name: says why it does not answer, or None.
        states: Returns the state of each program; raises StackError while the supervisor does not answer.
        clock: Gives the time.
    """

    def __init__(
        self,
        settings: Settings,
        probes: Mapping[str, Probe],
        states: States = dict,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(TextfileCollector(settings.root))
        self._clock = clock
        self._log = LoggedPredictions(settings.root, self.registry, clock)
        self._programs = Programs(states, self.registry)
        self._recent = Recent(settings, lambda: clock().timestamp())
        self._parts = Parts(probes, self.registry)
        self._last = Gauge(
            "flywheel_exporter_last_look_timestamp_seconds", "When it has looked last.", registry=self.registry
        )

    def look(self) -> None:
        """Look at everything once; what may take seconds comes last."""
        self._log.look()
        self._programs.look()
        self._recent.look()
        self._parts.look()
        self._last.set(self._clock().timestamp())

    def run(self, stop: threading.Event) -> None:
        """Look until `stop` is set."""
        while True:
            self.look()
            if stop.wait(PERIOD_SECONDS):
                return


def main(arguments: Sequence[str] | None = None) -> int:
    """Export until SIGTERM or SIGINT; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.exporter", description="Metrics of the stack and its log.")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args(arguments)
    configure_logs(machine=True)
    stop = stop_on_signals()
    try:
        settings = load_settings()
        exporter = Exporter(settings, stack_probes(settings), lambda: program_states(settings))
        server, thread = start_http_server(options.port, "127.0.0.1", registry=exporter.registry)
    except FlywheelError as fault:
        sys.stderr.write(f"Error: {fault}\n")
        return fault.exit_code
    exporter.run(stop)
    server.shutdown()
    server.server_close()
    thread.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
