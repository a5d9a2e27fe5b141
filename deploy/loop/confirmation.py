"""What follows once the gateway has confirmed an intent: aliases, stages, and the event that says so, in that order.

The projections come first, for they may be repeated: a crash before the event repeats them, and loses nothing.
"""

from dataclasses import dataclass
from typing import Any

from deploy.desired import Approval, approvals, is_rollback
from deploy.loop.interfaces import Ledger, Registry, Target
from deploy.loop.looking import written
from deploy.loop.rollout import History, Phase, Rollout
from flywheel.events import EventKind

CHAMPION_ALIAS, CHALLENGER_ALIAS = "champion", "challenger"


@dataclass(frozen=True)
class Confirmation:
    """Writes what has come true."""

    ledger: Ledger
    registry: Registry
    target: Target

    def confirm(self, history: History, rollout: Rollout) -> None:
        """Record that a rollout's last intent came true."""
        if rollout.phase is Phase.PROMOTING:
            self._promoted(rollout)
        elif rollout.phase is Phase.ROLLING_BACK:
            self._rolled_back(history, rollout)
        else:
            self._stepped(rollout)

    def finish(self, rollout: Rollout, reason: str) -> None:
        """Let the old version go: nothing waits for it any longer."""
        self._archive_old(rollout)
        body = {"rollout": rollout.name, "state": "done", "reason": reason}
        self.ledger.record(EventKind.ROLLOUT_BAKED, rollout.new.subject, body)

    def _promoted(self, rollout: Rollout) -> None:
        self.registry.set_alias(rollout.new.usecase, CHAMPION_ALIAS, rollout.new.version)
        self.registry.set_alias(rollout.new.usecase, CHALLENGER_ALIAS, None)
        for loser in rollout.others:
            self.registry.archive(loser, f"Version {rollout.new.version} has won the experiment.")
        if not rollout.bakes:
            self._archive_old(rollout)
        self.ledger.record(EventKind.ROLLOUT_PROMOTED, rollout.new.subject, _done(rollout))

    def _rolled_back(self, history: History, rollout: Rollout) -> None:
        usecase = rollout.new.usecase
        self.registry.set_alias(usecase, CHALLENGER_ALIAS, None)
        if history.champion is not None:  # it may have been champion itself
            self.registry.set_alias(usecase, CHAMPION_ALIAS, history.champion.version)
        # Whom people have gone back to while it makes way, and have approved nothing since, stays.
        last_word = self._approved_since(rollout)[-1:]
        for one in rollout.versions:
            if one == rollout.failed or not is_rollback(last_word, one):
                self.registry.archive(one, rollout.reason)
        body = {**_done(rollout), "cause": str(rollout.cause)}
        self.ledger.record(EventKind.ROLLOUT_ROLLED_BACK, (rollout.harmed or rollout.new).subject, body)

    def _stepped(self, rollout: Rollout) -> None:
        self.registry.set_alias(rollout.new.usecase, CHALLENGER_ALIAS, rollout.new.version)
        counters = self.target.counts(rollout.share) if rollout.share is not None else {}
        told = {arm: written(one) for arm, one in counters.items()}
        body = {**_done(rollout), "step": rollout.step, "percent": rollout.percent, "counters": told}
        self.ledger.record(EventKind.ROLLOUT_STEP, rollout.new.subject, body)

    def _archive_old(self, rollout: Rollout) -> None:
        if rollout.old is not None and not is_rollback(self._approved_since(rollout), rollout.old):
            self.registry.archive(rollout.old, f"Version {rollout.new.version} has taken over.")

    def _approved_since(self, rollout: Rollout) -> list[Approval]:
        """Look once more, just before archiving: people may have gone back to a version since the tick began.

        Returns:
            The approvals that stand and came after the rollout's start, in their order.
        """
        standing = approvals(self.ledger.read()).get(rollout.new.usecase, [])
        return sorted((one for one in standing if one.seq > rollout.seq), key=lambda one: one.seq)


def _done(rollout: Rollout) -> dict[str, Any]:
    return {"rollout": rollout.name, "state": "done", "reason": rollout.reason}
