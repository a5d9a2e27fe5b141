"""What the controller sees of a rollout: health, looks at the evidence, and the vigil over what is live."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from deploy.desired import Served
from deploy.loop.decision import Observed, Opinion
from deploy.loop.experiment_looks import ExperimentLooks
from deploy.loop.interfaces import Condition, Observatory, Readiness, Target
from deploy.loop.journal import Journal
from deploy.loop.looking import Looking, header, written
from deploy.loop.loss_watch import loss_reference
from deploy.loop.rollout import COMPARED, OPEN, Phase, Rollout
from deploy.loop.vigil import Vigils
from deploy.loop.watch import Watch
from deploy.verdict import Call
from flywheel.errors import TransientError
from flywheel.rollbacks import Cause

# A restarted scorer needs about twenty seconds to answer; a canary that takes longer than this is not coming back.
SILENCE_SECONDS = 90.0
# Of the time between two ticks only so much was watched: nobody saw who answered while the gateway, the controller or
# its clock stood still, and right after a restart the gateway finds nobody healthy.
WATCHED_SECONDS = 10.0
NO_MEASURE = Opinion(Call.NOT_YET, "Nobody measures what this experiment is about here.")


@dataclass
class Eyes:
    """Looks, and remembers what cannot be read again. Not for several threads.

    Args:
        target: Asked who is healthy, and what was counted.
        journal: Where looks are kept.
        now: The time, with its zone.
        observatory: What the prediction log knows.
        vigils: Over what is live.
        experiments: Looks at the business measure of experiments.
    """

    target: Target
    journal: Journal
    now: Callable[[], datetime]
    observatory: Observatory | None = None
    vigils: Vigils | None = None
    experiments: ExperimentLooks | None = None
    # By rollout and version when it was last watched, and for how many seconds it has not answered.
    _silence: dict[tuple[str, str], tuple[datetime, float]] = field(default_factory=dict)
    _looking: dict[str, Looking] = field(default_factory=dict)
    watch: Watch = field(init=False)

    def __post_init__(self) -> None:
        """Wire what watches what is live."""
        self.watch = Watch(self.target, self.now, self.vigils, self.observatory)

    def observe(
        self, rollout: Rollout, desired: Served | None, conditions: Mapping[Served, Condition], *, in_force: bool
    ) -> Observed:
        """Return what there is to decide by.

        Args:
            rollout: Under way.
            desired: The version that people want.
            conditions: Of the new version; of an experiment all of its.
            in_force: The gateway has confirmed the intended traffic.
        """
        healthy, now = self.target.healthy(rollout.new.usecase), self.now()
        coming = {one: conditions.get(one) for one in _coming(rollout)}
        failed = {one: found for one, found in coming.items() if found and found.readiness is Readiness.FAILED}
        seconds = {one: self._silent_seconds(rollout, one, healthy, now) for one in coming}
        silent = [one for one, silence in seconds.items() if silence > SILENCE_SECONDS]
        return Observed(
            desired=desired,
            in_force=in_force,
            ready=all(found is not None and found.readiness is Readiness.READY for found in coming.values()),
            healthy=healthy,
            now=now,
            failure=next((found.reason for found in failed.values()), None),
            silent_too_long=bool(silent),
            verdict=self._sent_back(rollout) or self._opinion(rollout, in_force=in_force),
            failing=next(iter((*failed, *silent)), None) if rollout.others else None,
            cause=next((found.cause for found in failed.values()), Cause.START),
        )

    def _opinion(self, rollout: Rollout, *, in_force: bool) -> Opinion | None:
        if not in_force or not rollout.confirmed:
            return None
        return self._look(rollout) if rollout.phase in COMPARED else self._kept_well(rollout)

    def _sent_back(self, rollout: Rollout) -> Opinion | None:
        may = rollout.phase in {*COMPARED, Phase.PROMOTING}  # the last event may not have come to pass before
        reason = self.journal.sent_back(rollout.name) if may else None
        return Opinion(Call.ROLL_BACK, reason, self._harmed(rollout)) if reason is not None else None

    def _kept_well(self, rollout: Rollout) -> Opinion | None:
        """Say what the vigil finds while the old version is still warm."""
        if rollout.phase is not Phase.BAKING:
            return None
        found = self.watch.look(rollout)
        if found.reason is not None:
            return Opinion(Call.ROLL_BACK, found.reason)
        return Opinion(Call.NOT_YET, found.notice) if found.notice else None

    def _silent_seconds(self, rollout: Rollout, served: Served, healthy: frozenset[str], now: datetime) -> float:
        """Return for how long a version that should answer was watched not to."""
        key = (rollout.name, served.version)
        last, silent = self._silence.get(key, (now, 0.0))
        watched = min(max((now - last).total_seconds(), 0.0), WATCHED_SECONDS)
        answers = served.version in healthy or rollout.phase is Phase.STARTING
        self._silence[key] = (now, 0.0 if answers else silent + watched)
        return self._silence[key][1]

    def _look(self, rollout: Rollout) -> Opinion | None:
        share = rollout.share
        if share is None:
            return None
        evidence = self.observatory.evidence(rollout) if self.observatory is not None else None
        judged = self.looks(rollout).look(rollout, self.now(), lambda: self.target.counts(share), evidence)
        if judged is None:
            return None
        opinion = Opinion(judged.call, judged.reason, self._harmed(rollout))
        if rollout.is_experiment and judged.call is not Call.ROLL_BACK:
            opinion = self._measured(rollout)
        trouble = self.looks(rollout).trouble
        if trouble and opinion.call is Call.PROMOTE:
            return Opinion(Call.NOT_YET, f"No step is taken on half of the evidence. {trouble}")
        return opinion

    def _measured(self, rollout: Rollout) -> Opinion:
        """Say what the business measure leads to; who wins must pass the gates of a canary as well."""
        opinion = self.experiments.opinion(rollout) if self.experiments is not None else NO_MEASURE
        arm = next((arm for arm, one in rollout.arms.items() if one == opinion.version), None)
        shut = self.looks(rollout).closed(rollout.step, arm) if opinion.call is Call.PROMOTE and arm else None
        return opinion if shut is None else Opinion(Call.NOT_YET, f"{opinion.reason} But {shut}")

    def _harmed(self, rollout: Rollout) -> Served | None:
        """Return the version of an experiment in which harm was found."""
        arm = self.looks(rollout).worse(rollout.step) if rollout.is_experiment else None
        return rollout.arms[arm] if arm is not None else None

    def begin(self, rollout: Rollout) -> None:
        """Keep that a step was confirmed now, so that its harm is found though Postgres were away from now on."""
        counts = self.target.counts(rollout.share) if rollout.share is not None else {}
        told = {arm: written(one) for arm, one in counts.items()}
        with suppress(TransientError):  # a full disk: the first look tries again
            self.journal.begin(rollout.name, header(replace(rollout, since=self.now(), counters=told)))

    def looks(self, rollout: Rollout) -> Looking:
        """Return the looks of a rollout so far."""
        if rollout.name not in self._looking or self._looking[rollout.name].is_stale:
            self._looking[rollout.name] = Looking.resumed(rollout, self.journal)
        return self._looking[rollout.name]

    def verdict(self, rollout: Rollout) -> Mapping[str, Any]:
        """Return the verdict of the present step so far, as plain JSON; nothing where none is being compared."""
        return self.looks(rollout).verdict(rollout.step) if rollout.phase in COMPARED else {}

    def told(self, rollout: Rollout) -> dict[str, Any]:
        """Return what goes on record of a rollout's evidence, from which its verdict can be replayed and drawn."""
        if rollout.phase not in COMPARED:
            return {"verdict": {}, "looks": [], "trace": {}}
        looks, step = self.looks(rollout), rollout.step
        found = {"verdict": looks.verdict(step), "looks": looks.documents(step), "trace": looks.trace(step)}
        measured = self.experiments.record(rollout) if rollout.is_experiment and self.experiments is not None else {}
        return found | ({"experiment": measured} if measured else {})

    def reference(self, rollout: Rollout, winner: Served | None) -> dict[str, Mapping[str, float]]:
        """Return what a version did in traffic before it takes over; of an experiment the winner."""
        arm = next((arm for arm, one in rollout.arms.items() if one == winner), None) if rollout.is_experiment else None
        looks, one = self.looks(rollout), replace(rollout, new=winner or rollout.new)
        return {**looks.reference(arm), **loss_reference(looks.losses(arm), one)}


def _coming(rollout: Rollout) -> tuple[Served, ...]:
    """Return the versions that must answer: of an experiment all, until one of them has won."""
    return rollout.versions if rollout.phase in OPEN else (rollout.new,)
