"""The controller: one re-entrant tick that brings traffic closer to what people approved, by at most one step.

State is the audit trail. Each tick folds it, makes actual traffic what the fold asks for, and may then record one
event a use case: an intent, which the next tick makes true, or `done`, once the gateway has confirmed. So a crash at
any point loses nothing, and a second controller would do the same; an advisory lock keeps it out all the same.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from deploy.desired import Approval, Served, Wanted, approvals, in_production, is_rollback, newest, policy_of
from deploy.hooks import NO_HOOKS, Hooks, Step
from deploy.loop.confirmation import CHALLENGER_ALIAS, CHAMPION_ALIAS, Confirmation
from deploy.loop.decision import Action, Decision, decide
from deploy.loop.experiment_looks import ExperimentLooks, Measure
from deploy.loop.eyes import Eyes
from deploy.loop.fold import histories
from deploy.loop.healing import Healing
from deploy.loop.interfaces import Condition, Ledger, Observatory, Readiness, Registry, Target
from deploy.loop.journal import Journal
from deploy.loop.planning import Planning
from deploy.loop.progress import Progress, UnfinishedError, of_damage, of_history, of_rollout
from deploy.loop.rollout import COMPARED, OPEN, History, Phase, Rollout, intended, started_body, warm
from deploy.loop.vigil import Vigils
from deploy.shares import Share
from flywheel.errors import FlywheelError, IntegrityError, SpecError, TransientError
from flywheel.events import Event, EventKind
from flywheel.policy import RolloutPolicy
from flywheel.rollbacks import Cause


@dataclass
class Controller:
    """One leader's view. `tick` may raise any FlywheelError; calling it again is always right.

    Args:
        ledger: The audit trail.
        registry: Stages and aliases.
        target: Where versions run.
        journal: Where looks are kept.
        now: The time, with its zone.
        only: The only use case to reconcile; all by default.
        observatory: What the prediction log knows.
        hooks: Asked before each step.
        starts: Whether it brings new versions; else it goes on with what is under way, and goes back.
        vigils: Over what is live; None: nobody watches it.
        measure: What the log says of an experiment's business measure; None: experiments are judged by harm alone.
    """

    ledger: Ledger
    registry: Registry
    target: Target
    journal: Journal
    now: Callable[[], datetime]
    only: str | None = None
    observatory: Observatory | None = None
    hooks: Hooks = NO_HOOKS
    starts: bool = True
    vigils: Vigils | None = None
    measure: Measure | None = None
    _conditions: dict[Served, Condition] = field(default_factory=dict)
    _fault: FlywheelError | None = None
    _silent: TransientError | None = None
    # By use case the event that took it out of service, whose aliases are gone: they say what traffic does.
    _without_alias: dict[str, int] = field(default_factory=dict)
    _eyes: Eyes = field(init=False)

    def __post_init__(self) -> None:
        """Wire what looks."""
        experiments = ExperimentLooks(self.measure, self.journal, self.now) if self.measure is not None else None
        self._eyes = Eyes(self.target, self.journal, self.now, self.observatory, self.vigils, experiments)

    def tick(self) -> list[Progress]:
        """Reconcile every use case once; at most one step each. One whose record cannot be read stays as it is."""
        events = self.ledger.read()
        found, approved = histories(events), approvals(events)
        past, apart = _sound({name: found.get(name, History(name)) for name in sorted({*found, *approved})})
        self.journal.keep_only(self._looked_at(past.values(), apart))
        there, gone = self._approach(past, frozenset(apart))
        found_out, fault = self._kept_apart(apart.values()), self._fault
        for name in (name for name in past if self.only in {None, name}):
            try:
                mine, in_force, retired = approved.get(name, []), name in there, name in gone
                progress = self._reconcile(past[name], mine, events, in_force=in_force, retired=retired)
                found_out += [progress] if progress is not None else []
            except TransientError as passing:  # the others need not wait for what this one waits for
                fault = passing
            except IntegrityError as damage:
                found_out.append(of_damage(past[name], str(damage)))
        found_out.sort(key=lambda one: one.usecase)
        if isinstance(fault, TransientError):
            raise UnfinishedError(fault, found_out) from fault
        if fault is not None:
            raise fault
        return found_out

    def _approach(self, past: Mapping[str, History], apart: frozenset[str]) -> tuple[set[str], set[str]]:
        """Bring what runs and is routed closer to the record.

        Returns:
            The use cases whose traffic is as it should be, and those of which nothing else is left.
        """
        shares = {name: share for name, history in past.items() if (share := self._share(history)) is not None}
        confirmed = self._bring(past.values(), shares.values())
        removed = {name: self.target.remove(name) for name, history in past.items() if history.is_gone}
        running = {served for history in past.values() for served in _running(history)}
        retired = self.target.retire(running, apart)
        # Before the first promotion there is no traffic that could be confirmed.
        there = {name for name in past if name in confirmed or name not in shares}
        return there, {name for name in past if retired and removed.get(name, True)}

    def restore(self) -> list[Progress]:
        """Bring closer what the events say is live, starting nothing new and deciding nothing."""
        past, apart = _sound(histories(self.ledger.read()))
        shares = {name: share for name in sorted(past) if (share := self._share(past[name])) is not None}
        confirmed = self._bring([past[name] for name in shares], shares.values())
        if self._fault is not None:
            raise self._fault
        restored = [self._restored(past[name], there=name in confirmed) for name in shares]
        return [*restored, *self._kept_apart(apart.values())]

    def _kept_apart(self, apart: Iterable[History]) -> list[Progress]:
        return [of_damage(one, one.damage or "") for one in apart if self.only in {None, one.usecase}]

    def _looked_at(self, past: Iterable[History], apart: Collection[str]) -> set[str]:
        """Return the rollouts whose journal is still asked; of a use case that is kept apart nobody knows which."""
        under_way = {one.name for history in past if (one := history.current) and _is_looked_at(one)}
        if not apart:
            return under_way
        headers = self.journal.open_ones().items()
        return under_way | {name for name, one in headers if one.get("new", {}).get("usecase") in apart}

    def _share(self, history: History) -> Share | None:
        """Return the traffic that the events ask for; what was sent back without them stays with the champion."""
        rollout = history.current
        if rollout is None or rollout.old is None or rollout.phase not in {*COMPARED, Phase.PROMOTING}:
            return intended(history)
        # Halted: the champion died since, and the version that was sent back may be the only copy that answers.
        stays = self.journal.sent_back(rollout.name) is not None and rollout.halted is None
        return Share(rollout.old) if stays else intended(history)

    def _bring(self, past: Iterable[History], shares: Iterable[Share]) -> set[str]:
        """Run what must run and route these shares; return the use cases whose share the gateway has confirmed."""
        self._conditions, self._fault, self._silent = {}, None, None
        for served in (served for history in past for served in _running(history)):
            try:
                self._conditions[served] = self.target.ensure(served)
            except (SpecError, TransientError) as fault:  # nothing is known of it, and the others need not wait
                self._fault = fault
        return self.target.route(list(shares))

    def _restored(self, history: History, *, there: bool) -> Progress:
        mine = {served: one for served, one in self._conditions.items() if served.usecase == history.usecase}
        failures = [one.reason for one in mine.values() if one.readiness is Readiness.FAILED]
        reason = "Live." if there else " ".join(failures) or "What was live is being started."
        return self._served(of_history(history, reason, settled=there or bool(failures)))

    def _reconcile(
        self,
        history: History,
        approved: list[Approval],
        events: list[Event],
        *,
        in_force: bool,
        retired: bool,
    ) -> Progress | None:
        """Do one thing about a use case; None while it is not known how one of its versions is."""
        if set(_running(history)) - set(self._conditions):
            self._go_back_only(history, in_force=in_force)
            return None
        try:
            stages = self._stages(history.usecase, [approval.served.version for approval in approved])
        except TransientError:
            self._go_back_only(history, in_force=in_force)
            raise
        desired = newest(approved, stages, history.failed)
        rollback = is_rollback(approved, desired)
        if history.current is not None:
            wanted = Wanted(desired, in_production(approved, stages), rollback)
            return self._go_on(history, history.current, wanted, in_force=in_force)
        if (self.starts or rollback) and desired is not None and desired != history.champion:
            self._start(history, desired, policy_of(events, history.usecase), rollback=rollback)
            said = "is wanted back" if rollback else "is approved"
            return of_history(history, f"Version {desired.version} {said} and starts.", settled=False)
        if history.champion is None:
            gone = "Taken out of service." if history.is_gone else "No approved version."
            if history.is_gone and self._without_alias.get(history.usecase) != history.undeployed:
                for alias in (CHALLENGER_ALIAS, CHAMPION_ALIAS):
                    self.registry.set_alias(history.usecase, alias, None)
                self._without_alias[history.usecase] = history.undeployed
            return of_history(history, gone, settled=retired)
        self._project(history)
        settled = in_force and retired
        reason = "Live." if settled else "The last change is being confirmed, and what it replaced is being stopped."
        progress = of_history(history, reason, settled=settled)
        healing = Healing(self.ledger, self.registry, self._eyes.watch)
        return self._served(healing.after(history, progress) if in_force else progress)

    def _stages(self, usecase: str, versions: list[str]) -> dict[str, str]:
        """Ask the registry; one that is silent is asked once a tick, for each answer is waited for."""
        if self._silent is not None:
            raise self._silent
        try:
            return self.registry.stages(usecase, versions)
        except TransientError as fault:
            self._silent = fault
            raise

    def _go_on(self, history: History, rollout: Rollout, wanted: Wanted, *, in_force: bool) -> Progress:
        seen = replace(
            self._eyes.observe(rollout, wanted.newest, self._conditions, in_force=in_force),
            rollback=wanted.rollback,
            approved=wanted.approved,
        )
        decision = self._asked_first(rollout, decide(rollout, seen))
        self._act(history, rollout, decision)
        return self._served(of_rollout(rollout, decision, self._eyes.verdict(rollout), in_force=in_force))

    def _go_back_only(self, history: History, *, in_force: bool) -> None:
        """While it is not known what people want, or how a version is, do nothing about a rollout but end its harm."""
        rollout = history.current
        if rollout is not None and rollout.phase in {*COMPARED, Phase.BAKING}:
            seen = self._eyes.observe(rollout, rollout.new, self._conditions, in_force=in_force)
            decision = decide(rollout, replace(seen, approved=frozenset(rollout.versions)))
            if decision.action is Action.ROLL_BACK:
                self._act(history, rollout, decision)

    def _served(self, progress: Progress) -> Progress:
        """Add how the versions of a use case are served."""
        mine = {served: one for served, one in self._conditions.items() if served.usecase == progress.usecase}
        return replace(progress, serving={served.version: one.serving for served, one in mine.items() if one.serving})

    def _start(self, history: History, desired: Served, policy: RolloutPolicy, *, rollback: bool) -> None:
        attempt = sum(one.new == desired for one in history.rollouts) + 1
        name = f"{desired.usecase}-v{desired.version}-{desired.digest.removeprefix('sha256:')[:8]}-{attempt}"
        # A way back is not judged, so nothing need be measured for it.
        champion = None if rollback else history.champion
        lately = {} if self.vigils is None else {"lately": self.vigils.lately}
        plan = Planning(self.target, self.observatory, **lately).plan(desired, champion, policy)
        if history.champion is None:  # out of service, and something was approved before all of it had come true
            self.registry.set_alias(desired.usecase, CHAMPION_ALIAS, None)
        body = started_body(desired, history.champion, name, plan, rollback=rollback)
        self.ledger.record(EventKind.ROLLOUT_STARTED, desired.subject, body)

    def _asked_first(self, rollout: Rollout, decision: Decision) -> Decision:
        """Ask the hooks before a step; one that objects makes it wait."""
        if rollout.rollback or decision.action not in {Action.ADVANCE, Action.PROMOTE}:
            return decision
        following = (*rollout.plan.steps, 100)[rollout.step + 1 if decision.action is Action.ADVANCE else -1]
        step = Step(
            rollout.name, decision.version or rollout.new, rollout.old, rollout.percent, following, decision.reason
        )
        objection = self.hooks.objection(step)
        return decision if objection is None else Decision(Action.WAIT, objection)

    def _act(self, history: History, rollout: Rollout, decision: Decision) -> None:
        confirmation = Confirmation(self.ledger, self.registry, self.target)
        match decision.action:
            case Action.WAIT:
                return
            case Action.CONFIRM:
                confirmation.confirm(history, rollout)
                if rollout.phase in COMPARED:
                    self._eyes.begin(rollout)
                else:  # it has left them, and its events carry the looks
                    self.journal.drop(rollout.name)
            case Action.FINISH:
                confirmation.finish(rollout, decision.reason)
            case Action.ADVANCE:
                step = rollout.step + 1
                extra = {"step": step, "percent": rollout.plan.steps[step]}
                self._record(EventKind.ROLLOUT_STEP, rollout, decision, extra)
            case Action.PROMOTE:
                told = {"reference": self._eyes.reference(rollout, decision.version)}
                self._record(EventKind.ROLLOUT_PROMOTED, rollout, decision, told)
            case Action.ROLL_BACK:
                cause = str(decision.cause or Cause.WITHDRAWN)
                self._record(EventKind.ROLLOUT_ROLLED_BACK, rollout, decision, {"cause": cause})
            case Action.HOLD:
                halted = str(decision.cause) if decision.cause else None
                failing = {"version": decision.version.version} if decision.version is not None else {}
                spoken = replace(decision, version=None)
                self._record(EventKind.ROLLOUT_HELD, rollout, spoken, {"halted": halted, **failing})

    def _record(self, kind: EventKind, rollout: Rollout, decision: Decision, extra: Mapping[str, Any]) -> None:
        """Record an intent, with everything that its verdict can be replayed from and drawn by.

        Of an experiment the event's subject says which version takes over, or failed.
        """
        condition = self._conditions.get(rollout.new)
        served = {"serving": dict(condition.serving)} if condition is not None and condition.serving else {}
        intent = {"rollout": rollout.name, "state": "intent", "reason": decision.reason}
        body = {**intent, **self._eyes.told(rollout), **served, **extra}
        self.ledger.record(kind, (decision.version or rollout.new).subject, body)

    def _project(self, history: History) -> None:
        """Repeat the last projection once nothing is under way; a registry restored from a backup is put right."""
        if history.champion is not None:
            self.registry.set_alias(history.usecase, CHAMPION_ALIAS, history.champion.version)


@dataclass(frozen=True)
class Restoring:
    """A controller whose ticks only restore."""

    controller: Controller

    def tick(self) -> list[Progress]:
        """Restore once."""
        return self.controller.restore()


def _sound(every: Mapping[str, History]) -> tuple[dict[str, History], dict[str, History]]:
    """Return the histories that can be read, and those that cannot."""
    sound = {name: one for name, one in every.items() if one.damage is None}
    return sound, {name: one for name, one in every.items() if name not in sound}


def _is_looked_at(rollout: Rollout) -> bool:
    """Say whether the journal of a rollout is still asked; what has taken over is watched by its vigil."""
    return rollout.phase is not Phase.BAKING


def _running(history: History) -> list[Served]:
    """Return the versions that must run: the champion's first, so that it is never the one that waits."""
    current = history.current
    wanted = [history.champion, warm(history)]
    if current is not None and current.phase is not Phase.ROLLING_BACK:
        wanted.extend(current.versions if current.phase in OPEN else [current.new])
    return list(dict.fromkeys(served for served in wanted if served is not None))
