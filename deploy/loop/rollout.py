"""A rollout and all of a use case, as their events tell them: where it stands, and what traffic it asks for. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from deploy.desired import Served
from deploy.loop.plans import RolloutPlan
from deploy.shares import CHALLENGER, Challenger, Share
from flywheel.rollbacks import FAILURES, Cause


class Phase(StrEnum):
    """Where a rollout stands, what that means for traffic, and who may leave it."""

    STARTING = "starting"  # no traffic yet; left by the controller: healthy, or failed to start
    SHADOW = "shadow"  # copies of the champion's requests, no answers; left as CANARY
    CANARY = "canary"  # some of the traffic; left by the verdict, by time, by people, or by a newer approval
    HELD = "held"  # as before, but asks a person; left by archiving it, by letting it go on, by a newer one, or by harm
    PROMOTING = "promoting"  # all of the traffic; left by the controller once confirmed
    BAKING = "baking"  # the champion, the old version still warm; left by time, by a newer one, or by harm
    DONE = "done"  # the champion; left only when it turns bad
    ROLLING_BACK = "rolling back"  # no traffic any more; left by the controller once confirmed
    ROLLED_BACK = "rolled back"  # final


ACTIVE = frozenset(Phase) - {Phase.DONE, Phase.ROLLED_BACK}
# Both versions get requests, and are compared.
COMPARED = frozenset({Phase.SHADOW, Phase.CANARY, Phase.HELD})
# Nothing is decided about it yet.
OPEN = frozenset({Phase.STARTING, *COMPARED})
# It has taken over.
LIVE = frozenset({Phase.BAKING, Phase.DONE})


@dataclass(frozen=True)
class Rollout:
    """One attempt to bring a version into traffic, as its events tell it.

    Args:
        name: Unique; requests carry it in x-flywheel-rollout.
        new: The version that comes.
        old: The champion it starts against; None for the first version.
        plan: Fixed at the start.
        phase: Where it stands.
        started: When.
        since: When the gateway confirmed what is in force now.
        asked: When people last let it go on, which is what its time runs from; else `started`.
        step: Index of the step in `plan.steps`; -1 before the first.
        confirmed: Whether the gateway has confirmed the last intent.
        cause: Why it was rolled back.
        reason: The sentence that goes with the last change.
        counters: The gateway's counters by arm when the present step was confirmed.
        details: Body of the last event of the controller.
        rollback: Whether the new version was live before and people want it back: it takes all traffic at once.
        reference: What the version did in traffic before it took over: by metric requests, and bad ones; of its loss
            what that may be.
        turned: What turned bad after it had taken over; None while nothing has.
        told: Metrics of which people were told that they turned bad, and that nothing is done about it.
        paused: Who paused it and why; None while it goes on.
        allowed: Whether people let it go on from this step.
        seq: Number of the event that started it.
        others: Of an experiment, the further challengers; once one of all has won, the ones that have not.
        harmed: Of an experiment that went back, the version that speaks against it; None: it is `new`.
    """

    name: str
    new: Served
    old: Served | None
    plan: RolloutPlan
    phase: Phase
    started: datetime
    since: datetime
    asked: datetime
    step: int = -1
    confirmed: bool = True
    cause: Cause | None = None
    reason: str = ""
    counters: Mapping[str, Mapping[str, Any]] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    rollback: bool = False
    reference: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    turned: str | None = None
    told: frozenset[str] = frozenset()
    paused: str | None = None
    allowed: bool = False
    seq: int = 0
    others: tuple[Served, ...] = ()
    harmed: Served | None = None

    @property
    def is_experiment(self) -> bool:
        """Whether it asks which of its versions is the best by a business measure."""
        return bool(self.plan.experiment)

    @property
    def versions(self) -> tuple[Served, ...]:
        """All that came to take over: one, or the challengers of an experiment in the order of their arms."""
        return (self.new, *self.others)

    @property
    def arms(self) -> dict[str, Served]:
        """The same by their arms."""
        numbers = self.plan.experiment.get("versions", {CHALLENGER: self.new.version})
        return {arm: one for arm, number in numbers.items() if (one := self.named(number)) is not None}

    @property
    def title(self) -> str:
        """The same for a sentence."""
        numbers = ", ".join(one.version for one in self.versions)
        return f"Versions {numbers}" if self.others else f"Version {numbers}"

    @property
    def failed(self) -> Served | None:
        """The version whose digest never starts again; None while none has failed."""
        return (self.harmed or self.new) if self.cause in FAILURES else None

    @property
    def percent(self) -> int:
        """Percent of the requests that the new version should answer now."""
        if self.phase is Phase.PROMOTING or self.phase in LIVE:
            return 100
        return self.plan.steps[self.step] if self.phase in COMPARED and self.step >= 0 else 0

    @property
    def share(self) -> Share | None:
        """The traffic in which both versions are compared; None while they are not."""
        if self.old is None or self.phase not in COMPARED:
            return None
        mirrored = self.plan.mirror_percent(self.step)
        percents = self.plan.arms or (self.percent,)
        challengers = tuple(Challenger(one, percent) for one, percent in zip(self.versions, percents, strict=True))
        return Share(self.old, challengers, mirrored, rollout=self.name)

    def named(self, version: str | None) -> Served | None:
        """Return the version of this number; None where it is none of those that came."""
        return next((one for one in self.versions if one.version == version), None)

    @property
    def bakes(self) -> bool:
        """Whether the old version stays warm for a while after the last step."""
        return self.old is not None and not self.rollback and self.plan.spec.bake.total_seconds() > 0

    @property
    def halted(self) -> Cause | None:
        """Why it will be rolled back as soon as the champion answers again; None when it is not waiting for that."""
        cause = self.details.get("halted") if self.phase is Phase.HELD else None
        return Cause(cause) if cause else None


@dataclass(frozen=True)
class History:
    """All rollouts of one use case, oldest first.

    Args:
        usecase: Its name.
        rollouts: As far as their events can be read.
        undeployed: When (number of the event) it was last taken out of service.
        damage: Which event since then cannot be read, and what to do; None: all can.
    """

    usecase: str
    rollouts: tuple[Rollout, ...] = ()
    undeployed: int = 0
    damage: str | None = None

    @property
    def standing(self) -> tuple[Rollout, ...]:
        """The rollouts since the use case was last taken out of service."""
        return tuple(one for one in self.rollouts if one.seq >= self.undeployed)

    @property
    def current(self) -> Rollout | None:
        """The rollout that is under way."""
        return next((one for one in reversed(self.standing) if one.phase in ACTIVE), None)

    @property
    def is_gone(self) -> bool:
        """Whether the use case was taken out of service and nothing has started since."""
        return self.undeployed > 0 and not self.standing

    @property
    def reign(self) -> Rollout | None:
        """The last rollout whose version took over and was not rolled back since."""
        return next((one for one in reversed(self.standing) if one.phase in LIVE), None)

    @property
    def champion(self) -> Served | None:
        """The version that took over last."""
        return self.reign.new if self.reign is not None else None

    @property
    def previous(self) -> Served | None:
        """The last other version that took over and kept well: where a champion that turns bad goes back to."""
        last = {one.new: one for one in self.standing if one.phase in LIVE}  # of each version the newest
        newest = sorted(last.values(), key=lambda one: one.seq, reverse=True)
        good = (one.new for one in newest if one.turned is None and one.new.digest not in self.failed)
        return next((one for one in good if one != self.champion), None)

    @property
    def failed(self) -> set[str]:
        """Digests that never start again."""
        return {one.failed.digest for one in self.rollouts if one.failed is not None}

    def sentence(self, desired: Served | None, *, rollback: bool = False) -> str:
        """Say what a controller would do, given the version that people want, and whether they want it back."""
        live = f"version {self.champion.version} is live" if self.champion else "nothing is live"
        if self.current is not None and self.current.is_experiment and self.current.phase in OPEN:
            numbers = ", ".join(one.version for one in self.current.versions)
            return f"{live}; an experiment with {numbers} is {self.current.phase} and would go on."
        if self.current is not None and self.current.phase is not Phase.BAKING:
            return f"{live}; version {self.current.new.version} is {self.current.phase} and would go on."
        if desired is None or desired == self.champion:
            return f"{live}; nothing to do."
        way = "through a canary" if self.champion and not rollback else "at once"
        return f"{live}; version {desired.version} would go live {way}."


def intended(history: History) -> Share | None:
    """Return the traffic that the events ask for; None while nothing was ever promoted."""
    current, champion = history.current, history.champion
    if current is not None and current.phase is Phase.PROMOTING:
        return Share(current.new, previous=current.old if current.bakes else None)
    if champion is None:
        return None
    if current is not None and current.share is not None and current.old == champion:
        return current.share
    return Share(champion, previous=warm(history))


def warm(history: History) -> Served | None:
    """Return the version that is kept running though it gets no requests while the champion answers."""
    current, reign = history.current, history.reign
    if current is not None and current.phase is Phase.BAKING:
        return current.old
    return history.previous if reign is not None and reign.plan.spec.keep_previous else None


def started_body(
    new: Served,
    old: Served | None,
    name: str,
    plan: RolloutPlan,
    *,
    rollback: bool = False,
    others: Sequence[Served] = (),
) -> dict[str, Any]:
    """Write the body of `rollout.started`."""
    further = [{"version": one.version, "digest": one.digest} for one in others]
    return {
        "rollout": name,
        "version": new.version,
        "digest": new.digest,
        "champion": {"version": old.version, "digest": old.digest} if old else None,
        "plan": plan.to_json(),
        **({"rollback": True} if rollback else {}),
        **({"others": further} if further else {}),
    }
