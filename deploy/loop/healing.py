"""What is done about what is live once it has turned bad: the last good version comes back, or people are told."""

from dataclasses import dataclass, replace

from deploy.desired import Served
from deploy.loop.interfaces import Ledger, Registry
from deploy.loop.progress import Progress
from deploy.loop.rollout import History, Rollout
from deploy.loop.watch import Findings, Watch
from flywheel.errors import FlywheelError, TransientError
from flywheel.events import EventKind


@dataclass(frozen=True)
class Healing:
    """Acts on what the watch finds.

    Args:
        ledger: The audit trail.
        registry: Asked for the version before.
        watch: Over what is live.
    """

    ledger: Ledger
    registry: Registry
    watch: Watch

    def after(self, history: History, progress: Progress) -> Progress:
        """Look at what is live, whose traffic is in force, and act; return how things stand, with what was found.

        Raises:
            TransientError: The registry does not answer.
        """
        reign = history.reign
        if reign is None:
            return progress
        due = self.watch.is_due(reign)
        found = self.watch.look(reign)
        if found.reason is None:
            self._warn(reign, found)
            return replace(progress, reason=f"{progress.reason} {found.notice}".rstrip())
        if history.previous is None:
            return replace(progress, reason=found.reason)
        if not due:
            return replace(progress, reason=reign.turned or progress.reason)
        return replace(progress, reason=self._go_back(reign, history.previous, found.reason))

    def _warn(self, reign: Rollout, found: Findings) -> None:
        """Say on the record, once a metric, what has turned bad and is left alone."""
        for metric, reason in found.told.items():
            if metric not in reign.told:
                body = {"rollout": reign.name, "version": reign.new.version, "metric": metric, "reason": reason}
                self.ledger.record(EventKind.ROLLOUT_WARNED, reign.new.subject, body)

    def _go_back(self, reign: Rollout, previous: Served, found: str) -> str:
        """Say on the record that what is live has turned bad, and at the next look go back; return what was done."""
        reason = f"Version {reign.new.version} has turned bad. {found}"
        if reign.turned is None:
            body = {"rollout": reign.name, "version": reign.new.version, "reason": reason}
            self.ledger.record(EventKind.ROLLOUT_TURNED_BAD, reign.new.subject, body)
            return reason
        try:
            self.registry.go_back(previous, reason)
        except TransientError:
            raise
        except FlywheelError as fault:
            return f"{reason} {fault}"
        return f"{reason} Version {previous.version} comes back."
