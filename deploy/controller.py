"""The controller: one re-entrant tick that brings traffic closer to what people approved, by at most one step.

State is the audit trail. Each tick folds it, makes actual traffic what the fold asks for, and may then record one
event a use case: an intent, which the next tick makes true, or `done`, once the gateway has confirmed. So a crash at
any point loses nothing, and a second controller would do the same; an advisory lock keeps it out all the same.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from deploy.confirmation import Confirmation
from deploy.decision import Action, Decision, Observed, Opinion, decide
from deploy.desired import Approval, Served, approvals, is_rollback, newest
from deploy.hooks import NO_HOOKS, Hooks, Step
from deploy.interfaces import Condition, Ledger, Observatory, Readiness, Registry, Target
from deploy.journal import Journal
from deploy.looking import Looking
from deploy.plans import ALPHA, References, latency_of, make_plan
from deploy.progress import Progress, of_history, of_rollout
from deploy.rollout import COMPARED, History, Phase, Rollout, histories, intended, started_body, warm
from deploy.shares import CHAMPION, Share
from flywheel.errors import FlywheelError, TransientError
from flywheel.events import EventKind
from flywheel.rollbacks import Cause
from flywheel.rollout_spec import Rollout as RolloutSpec

# A restarted scorer needs about twenty seconds to answer; a canary that takes longer than this is not coming back.
SILENCE_SECONDS = 90.0
# Of the time between two ticks only so much was watched: nobody saw who answered while the gateway, the controller or
# its clock stood still, and right after a restart the gateway finds nobody healthy.
WATCHED_SECONDS = 10.0


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
        starts: Whether it starts new rollouts; else it goes on with what is under way.
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
    _silence: dict[str, tuple[datetime, float]] = field(default_factory=dict)  # when last watched, seconds so far
    _conditions: dict[Served, Condition] = field(default_factory=dict)
    _looking: dict[str, Looking] = field(default_factory=dict)

    def tick(self) -> list[Progress]:
        """Reconcile every use case once; at most one step each."""
        events = self.ledger.read()
        found, approved = histories(events), approvals(events)
        names = sorted(set(found) | set(approved))
        past = {name: found.get(name, History(name)) for name in names}
        shares = {name: share for name in names if (share := intended(past[name])) is not None}
        confirmed = self._bring(past.values(), shares.values())
        removed = {name: self.target.remove(name) for name in names if past[name].is_gone}
        retired = self.target.retire({served for name in names for served in _running(past[name])})
        return [
            self._reconcile(
                past[name],
                approved.get(name, []),
                # Before the first promotion there is no traffic that could be confirmed.
                in_force=name in confirmed or name not in shares,
                retired=retired and removed.get(name, True),
            )
            for name in names
            if self.only in {None, name}
        ]

    def restore(self) -> list[Progress]:
        """Bring closer what the events say is live, starting nothing new and deciding nothing."""
        past = histories(self.ledger.read())
        shares = {name: share for name in sorted(past) if (share := intended(past[name])) is not None}
        confirmed = self._bring([past[name] for name in shares], shares.values())
        return [self._restored(past[name], there=name in confirmed) for name in shares]

    def _bring(self, past: Iterable[History], shares: Iterable[Share]) -> set[str]:
        """Run what must run and route these shares; return the use cases whose share the gateway has confirmed."""
        self._conditions = {served: self.target.ensure(served) for history in past for served in _running(history)}
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
        *,
        in_force: bool,
        retired: bool,
    ) -> Progress:
        stages = self.registry.stages(history.usecase, [approval.served.version for approval in approved])
        desired = newest(approved, stages, history.failed)
        rollback = is_rollback(approved, desired)
        if history.current is not None:
            return self._go_on(history, history.current, desired, rollback=rollback, in_force=in_force)
        if self.starts and desired is not None and desired != history.champion:
            self._start(history, desired, rollback=rollback)
            said = "is wanted back" if rollback else "is approved"
            return of_history(history, f"Version {desired.version} {said} and starts.", settled=False)
        if history.champion is None:
            gone = "Taken out of service." if history.is_gone else "No approved version."
            return of_history(history, gone, settled=retired)
        self._project(history)
        settled = in_force and retired
        reason = "Live." if settled else "The last change is being confirmed, and what it replaced is being stopped."
        return self._served(of_history(history, reason, settled=settled))

    def _go_on(
        self, history: History, rollout: Rollout, desired: Served | None, *, rollback: bool, in_force: bool
    ) -> Progress:
        seen = replace(self._observe(rollout, desired, in_force=in_force), rollback=rollback)
        decision = self._asked_first(rollout, decide(rollout, seen))
        self._act(history, rollout, decision)
        return self._served(of_rollout(rollout, decision, self._verdict(rollout), in_force=in_force))

    def _served(self, progress: Progress) -> Progress:
        """Add how the versions of a use case are served."""
        mine = {served: one for served, one in self._conditions.items() if served.usecase == progress.usecase}
        return replace(progress, serving={served.version: one.serving for served, one in mine.items() if one.serving})

    def _start(self, history: History, desired: Served, *, rollback: bool) -> None:
        try:
            spec = self.target.spec(desired)
        except TransientError:
            raise
        except FlywheelError:
            spec = RolloutSpec()  # it is refused for the same reason when it is to be started, and on the record then
        references = self._references(history.champion, desired, spec) if history.champion else References()
        attempt = sum(one.new == desired for one in history.rollouts) + 1
        name = f"{desired.usecase}-v{desired.version}-{desired.digest.removeprefix('sha256:')[:8]}-{attempt}"
        plan = make_plan(spec, ALPHA, references)
        body = started_body(desired, history.champion, name, plan, rollback=rollback)
        self.ledger.record(EventKind.ROLLOUT_STARTED, desired.subject, body)

    def _references(self, champion: Served, new: Served, spec: RolloutSpec) -> References:
        counts = self.target.counts(Share(champion)).get(CHAMPION)
        known = self.observatory.references(champion, new, spec) if self.observatory is not None else References()
        return replace(known, latency=latency_of(spec, counts))

    def _observe(self, rollout: Rollout, desired: Served | None, *, in_force: bool) -> Observed:
        condition = self._conditions.get(rollout.new)
        healthy, now = self.target.healthy(rollout.new.usecase), self.now()
        failed = condition is not None and condition.readiness is Readiness.FAILED
        looking = in_force and rollout.confirmed and rollout.phase in COMPARED
        return Observed(
            desired=desired,
            in_force=in_force,
            ready=condition is not None and condition.readiness is Readiness.READY,
            healthy=healthy,
            now=now,
            failure=condition.reason if condition is not None and failed else None,
            silent_too_long=self._silent_seconds(rollout, healthy, now) > SILENCE_SECONDS,
            verdict=self._look(rollout) if looking else None,
        )

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
        judged = self._looks(rollout).look(rollout, self.now(), lambda: self.target.counts(share), evidence)
        return Opinion(judged.call, judged.reason) if judged is not None else None

    def _looks(self, rollout: Rollout) -> Looking:
        known = self._looking.get(rollout.name)
        if known is None or known.is_behind:
            self._looking[rollout.name] = Looking.resumed(rollout, self.journal)
        return self._looking[rollout.name]

    def _verdict(self, rollout: Rollout) -> Mapping[str, Any]:
        return self._looks(rollout).verdict(rollout.step) if rollout.phase in COMPARED else {}

    def _asked_first(self, rollout: Rollout, decision: Decision) -> Decision:
        """Ask the hooks before a step; one that objects makes it wait."""
        if decision.action not in {Action.ADVANCE, Action.PROMOTE}:
            return decision
        following = (*rollout.plan.steps, 100)[rollout.step + 1 if decision.action is Action.ADVANCE else -1]
        step = Step(rollout.name, rollout.new, rollout.old, rollout.percent, following, decision.reason)
        objection = self.hooks.objection(step)
        return decision if objection is None else Decision(Action.WAIT, objection)

    def _act(self, history: History, rollout: Rollout, decision: Decision) -> None:
        confirmation = Confirmation(self.ledger, self.registry, self.target)
        match decision.action:
            case Action.WAIT:
                return
            case Action.CONFIRM:
                confirmation.confirm(history, rollout)
            case Action.FINISH:
                confirmation.finish(rollout, decision.reason)
            case Action.ADVANCE:
                step = rollout.step + 1
                extra = {"step": step, "percent": rollout.plan.steps[step]}
                self._record(EventKind.ROLLOUT_STEP, rollout, decision, extra)
            case Action.PROMOTE:
                self._record(EventKind.ROLLOUT_PROMOTED, rollout, decision, {})
            case Action.ROLL_BACK:
                cause = str(decision.cause or Cause.WITHDRAWN)
                self._record(EventKind.ROLLOUT_ROLLED_BACK, rollout, decision, {"cause": cause})
            case Action.HOLD:
                halted = str(decision.cause) if decision.cause else None
                self._record(EventKind.ROLLOUT_HELD, rollout, decision, {"halted": halted})

    def _record(self, kind: EventKind, rollout: Rollout, decision: Decision, extra: Mapping[str, Any]) -> None:
        """Record an intent, with everything that its verdict can be replayed from."""
        condition = self._conditions.get(rollout.new)
        served = {"serving": dict(condition.serving)} if condition is not None and condition.serving else {}
        body = {
            "rollout": rollout.name,
            "state": "intent",
            "reason": decision.reason,
            "verdict": self._verdict(rollout),
            "looks": self._looks(rollout).documents(rollout.step) if rollout.phase in COMPARED else [],
            **served,
            **extra,
        }
        self.ledger.record(kind, rollout.new.subject, body)

    def _project(self, history: History) -> None:
        """Repeat the last projection once nothing is under way; a registry restored from a backup is put right."""
        if history.champion is not None:
            self.registry.set_alias(history.usecase, "champion", history.champion.version)


@dataclass(frozen=True)
class Restoring:
    """A controller whose ticks only restore."""

    controller: Controller

    def tick(self) -> list[Progress]:
        """Restore once."""
        return self.controller.restore()


def _running(history: History) -> list[Served]:
    """Return the versions that must run: the champion's first, so that it is never the one that waits."""
    current = history.current
    wanted = [history.champion, warm(history)]
    if current is not None and current.phase is not Phase.ROLLING_BACK:
        wanted.append(current.new)
    return list(dict.fromkeys(served for served in wanted if served is not None))
