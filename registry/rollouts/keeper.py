"""Keeps a rollout's report when the rollout ends: a consumer of the outbox, which tells it of every event in order.

The work is a process of its own (`python -m registry.rollouts`), since its libraries weigh 200 MB and a rollout ends
rarely. What can never be written is told in the log and passed over; what fails today comes again.
"""

import sys
import threading
from collections.abc import Sequence

from flywheel.errors import TransientError
from flywheel.events import Event, EventKind
from registry.burst import run_until

# A rollout that bakes is reported twice: when it has taken over, and when the version before it has gone.
ENDS = frozenset({EventKind.ROLLOUT_PROMOTED, EventKind.ROLLOUT_BAKED, EventKind.ROLLOUT_ROLLED_BACK})
COMMAND = (sys.executable, "-m", "registry.rollouts")


class ReportKeeper:
    """A consumer.

    Args:
        over: Ends its work.
        command: The process; it gets the model's and the rollout's name.
    """

    name = "rollout-report"

    def __init__(self, over: threading.Event, command: Sequence[str] = COMMAND) -> None:
        self._over = over
        self._command = command

    def describe(self) -> dict[str, str]:
        """Say what it is."""
        return {"kind": "registry", "target": "rollout/NAME.html on the version's run"}

    def wants(self, event: Event) -> bool:
        """Take the ends of rollouts, once they have come true."""
        return event.kind in ENDS and event.body.get("state") == "done"

    def deliver(self, event: Event) -> None:
        """Write the report.

        Raises:
            TransientError: It could not be written.
        """
        model, rollout = event.subject.split("/")[0], str(event.body["rollout"])
        code = run_until([*self._command, model, rollout], self._over.is_set)
        if code != 0:
            raise TransientError(f"The report of rollout '{rollout}' was not written ({code}); the log above says why")

    def try_out(self) -> None:
        """See whether it starts at all.

        Raises:
            TransientError: It does not.
        """
        if run_until([*self._command, "--help"], self._over.is_set) != 0:
            raise TransientError("The process that writes reports does not start; the log above says why")
