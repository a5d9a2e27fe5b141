"""What the controller sees of a rollout: health, looks at the evidence, and the vigil over what is live."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from deploy.decision import Observed, Opinion
from deploy.desired import Served
from deploy.interfaces import Condition, Observatory, Readiness, Target
from deploy.journal import Journal
from deploy.looking import Looking
from deploy.rollout import COMPARED, Phase, Rollout
from deploy.shares import CHAMPION, ArmCounts, Share
from deploy.verdict import Call
from deploy.vigil import Vigils

# A restarted scorer needs about twenty seconds to answer; a canary that takes longer than this is not coming back.
SILENCE_SECONDS = 90.0
# Of the time between two ticks only so much was watched: nobody saw who answered while the gateway, the controller or
# its clock stood still, and right after a restart the gateway finds nobody healthy.
WATCHED_SECONDS = 10.0


@dataclass
class Eyes:
    """Looks, and remembers what cannot be read again. Not for several threads.

    Args:
        target: Asked who is healthy, and what was counted.
        journal: Where looks are kept.
        now: The time, with its zone.
        observatory: What the prediction log knows.
        vigils: Over what is live.
    """

    target: Target
    journal: Journal
    now: Callable[[], datetime]
    observatory: Observatory | None = None
    vigils: Vigils | None = None
    _silence: dict[str, tuple[datetime, float]] = field(default_factory=dict)  # when last watched, seconds so far
    _looking: dict[str, Looking] = field(default_factory=dict)

    def observe(
        self, rollout: Rollout, desired: Served | None, condition: Condition | None, *, in_force: bool
    ) -> Observed:
        """Return what there is to decide by.

        Args:
            rollout: Under way.
            desired: The version that people want.
            condition: Of the new version.
            in_force: The gateway has confirmed the intended traffic.
        """
        healthy, now = self.target.healthy(rollout.new.usecase), self.now()
        failed = condition is not None and condition.readiness is Readiness.FAILED
        return Observed(
            desired=desired,
            in_force=in_force,
            ready=condition is not None and condition.readiness is Readiness.READY,
            healthy=healthy,
            now=now,
            failure=condition.reason if condition is not None and failed else None,
            silent_too_long=self._silent_seconds(rollout, healthy, now) > SILENCE_SECONDS,
            verdict=self._sent_back(rollout) or self._opinion(rollout, in_force=in_force),
        )

    def _opinion(self, rollout: Rollout, *, in_force: bool) -> Opinion | None:
        if not in_force or not rollout.confirmed:
            return None
        return self._look(rollout) if rollout.phase in COMPARED else self._kept_well(rollout)

    def _sent_back(self, rollout: Rollout) -> Opinion | None:
        may = rollout.phase in {*COMPARED, Phase.PROMOTING}  # the last event may not have come to pass before
        reason = self.journal.sent_back(rollout.name) if may else None
        return Opinion(Call.ROLL_BACK, reason) if reason is not None else None

    def _kept_well(self, rollout: Rollout) -> Opinion | None:
        """Say what the vigil finds while the old version is still warm."""
        if rollout.phase is not Phase.BAKING or self.vigils is None:
            return None
        bad = self.watch(rollout) if self.is_due(rollout) else self.vigils.bad(rollout)
        return Opinion(Call.ROLL_BACK, bad) if bad is not None else None

    def _silent_seconds(self, rollout: Rollout, healthy: frozenset[str], now: datetime) -> float:
        """Return for how long a version that should answer was watched not to."""
        last, silent = self._silence.get(rollout.name, (now, 0.0))
        watched = min(max((now - last).total_seconds(), 0.0), WATCHED_SECONDS)
        answers = rollout.new.version in healthy or rollout.phase is Phase.STARTING
        self._silence[rollout.name] = (now, 0.0 if answers else silent + watched)
        return self._silence[rollout.name][1]

    def _look(self, rollout: Rollout) -> Opinion | None:
        share = rollout.share
        if share is None:
            return None
        evidence = self.observatory.evidence(rollout) if self.observatory is not None else None
        judged = self.looks(rollout).look(rollout, self.now(), lambda: self.target.counts(share), evidence)
        if judged is None:
            return None
        trouble = self.looks(rollout).trouble
        if trouble and judged.call is Call.PROMOTE:
            return Opinion(Call.NOT_YET, f"No step is taken on half of the evidence. {trouble}")
        return Opinion(judged.call, judged.reason)

    def looks(self, rollout: Rollout) -> Looking:
        """Return the looks of a rollout so far."""
        if rollout.name not in self._looking or self._looking[rollout.name].is_stale:
            self._looking[rollout.name] = Looking.resumed(rollout, self.journal)
        return self._looking[rollout.name]

    def verdict(self, rollout: Rollout) -> Mapping[str, Any]:
        """Return the verdict of the present step so far, as plain JSON; nothing where none is being compared."""
        return self.looks(rollout).verdict(rollout.step) if rollout.phase in COMPARED else {}

    def is_due(self, reign: Rollout) -> bool:
        """Say whether it is time to look at what is live."""
        return self.vigils is not None and self.vigils.is_due(reign, self.now())

    def watch(self, reign: Rollout) -> str | None:
        """Take a look at what is live; return what has turned bad."""
        if self.vigils is None:
            return None
        counts = self.target.counts(Share(reign.new, previous=reign.old if reign.phase is Phase.BAKING else None))
        return self.vigils.look(reign, self.now(), counts.get(CHAMPION, ArmCounts()))
