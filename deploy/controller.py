"""The controller: one re-entrant tick that brings traffic closer to what people approved, by at most one step.

State is the audit trail. Each tick folds it, makes actual traffic what the fold asks for, and may then record one
event a use case: an intent, which the next tick makes true, or `done`, once the gateway has confirmed. So a crash at
any point loses nothing, and a second controller would do the same; an advisory lock keeps it out all the same.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from deploy.decision import Action, Decision, Observed, decide
from deploy.desired import Approval, Served, approvals, is_rollback, newest
from deploy.journal import Journal, Looks
from deploy.rollout import ALPHA, History, Phase, Rollout, histories, intended, started_body
from deploy.shares import Challenger, Share
from deploy.verdict import Look, Plan, Verdict
from flywheel.errors import FlywheelError, TransientError
from flywheel.events import Event, EventKind
from flywheel.rollbacks import Cause
from flywheel.rollout_spec import Rollout as RolloutSpec

# A restarted scorer needs about twenty seconds to answer; a canary that takes longer than this is not coming back.
SILENCE_SECONDS = 90.0


class Readiness(StrEnum):
    """Whether a version can take traffic."""

    READY = "ready"
    STARTING = "starting"
    FAILED = "failed"


@dataclass(frozen=True)
class Condition:
    """A version's readiness; a failure says why and ends with the log's last lines.

    Args:
        readiness: Whether it can take traffic.
        reason: Of a failure.
        serving: How it is served (backend, replicas, why), for people and for the record.
    """

    readiness: Readiness
    reason: str = ""
    serving: Mapping[str, Any] = field(default_factory=dict)


class Ledger(Protocol):
    """The audit trail. One process appends at a time; what `read` returns is verified."""

    def read(self) -> list[Event]:
        """Return all events in order; raises IntegrityError when the chain is broken."""

    def record(self, kind: EventKind, subject: str, body: Mapping[str, Any]) -> None:
        """Append one event durably before returning."""


class Registry(Protocol):
    """The registry as svc-controller sees it; every call may be repeated."""

    def stages(self, usecase: str, versions: Iterable[str]) -> dict[str, str]:
        """Return the stage of each of these versions of a use case; what does not exist is left out."""

    def set_alias(self, usecase: str, alias: str, version: str | None) -> None:
        """Point an alias at a version, or remove it; nothing happens when it is so already."""

    def archive(self, served: Served, reason: str) -> None:
        """Move a version to Archived; nothing happens when it is not in Production."""


class Target(Protocol):
    """Where versions run. No call waits for long; every call may be repeated after a crash."""

    def spec(self, served: Served) -> RolloutSpec:
        """Fetch and verify a package, and return how its use case wants to be rolled out; raises IntegrityError."""

    def ensure(self, served: Served) -> Condition:
        """Start a version unless it runs, and say how far it is."""

    def route(self, shares: Sequence[Share]) -> set[str]:
        """Bring traffic closer to these shares; return the use cases for which the gateway has confirmed them."""

    def healthy(self, usecase: str) -> frozenset[str]:
        """Return the versions that pass the gateway's health checks."""

    def look(self, share: Share) -> Look:
        """Count both arms of a share since the gateway knows them."""

    def retire(self, keep: set[Served]) -> bool:
        """Stop what is not kept once its last request is answered; True when nothing else is left.

        What is routed though nothing of its use case is kept goes on: it is the last that answers there.
        """

    def remove(self, usecase: str) -> bool:
        """Take a use case out of traffic, for `retire` to stop it; True once nothing of it is left."""


@dataclass(frozen=True)
class Progress:
    """What a tick saw and did for one use case; for people and for `--json`."""

    usecase: str
    champion: str | None
    challenger: str | None
    percent: int
    phase: Phase | None
    reason: str
    settled: bool
    outcome: str | None = None
    evidence: float | None = None
    threshold: float | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)
    serving: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by version: backend, replicas, why


@dataclass
class Controller:
    """One leader's view. `tick` may raise any FlywheelError; calling it again is always right."""

    ledger: Ledger
    registry: Registry
    target: Target
    journal: Journal
    now: Callable[[], datetime]
    only: str | None = None
    _last_healthy: dict[str, datetime] = field(default_factory=dict)
    _conditions: dict[Served, Condition] = field(default_factory=dict)

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
        return self._served(_progress(history, reason, settled=there or bool(failures)))

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
        rollout = history.current
        if rollout is not None:
            condition = self._conditions.get(rollout.new)
            seen = replace(self._observe(rollout, desired, condition, in_force), rollback=rollback)
            decision = decide(rollout, seen)
            self._act(rollout, decision)
            return self._served(_progress_of(rollout, decision, seen.verdict))
        if desired is not None and desired != history.champion:
            self._start(history, desired, rollback=rollback)
            said = "is wanted back" if rollback else "is approved"
            return _progress(history, f"Version {desired.version} {said} and starts.", settled=False)
        if history.champion is None:
            gone = "Taken out of service." if history.is_gone else "No approved version."
            return _progress(history, gone, settled=retired)
        self._project(history)
        settled = in_force and retired
        reason = "Live." if settled else "The last change is being confirmed, and what it replaced is being stopped."
        return self._served(_progress(history, reason, settled=settled))

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
        plan = Plan(spec.steps, spec.margin, ALPHA)
        attempt = sum(one.new == desired for one in history.rollouts) + 1
        name = f"{desired.usecase}-v{desired.version}-{desired.digest.removeprefix('sha256:')[:8]}-{attempt}"
        body = started_body(desired, history.champion, name, plan, spec.max_minutes, rollback=rollback)
        self.ledger.record(EventKind.ROLLOUT_STARTED, desired.subject, body)

    def _observe(
        self, rollout: Rollout, desired: Served | None, condition: Condition | None, in_force: bool
    ) -> Observed:
        usecase, now = rollout.new.usecase, self.now()
        healthy = self.target.healthy(usecase)
        if rollout.new.version in healthy or rollout.phase is Phase.STARTING or rollout.name not in self._last_healthy:
            self._last_healthy[rollout.name] = now
        silent = (now - self._last_healthy[rollout.name]).total_seconds() > SILENCE_SECONDS
        failed = condition is not None and condition.readiness is Readiness.FAILED
        looking = in_force and rollout.confirmed and rollout.phase in {Phase.CANARY, Phase.HELD}
        return Observed(
            desired=desired,
            in_force=in_force,
            ready=condition is not None and condition.readiness is Readiness.READY,
            healthy=healthy,
            now=now,
            failure=condition.reason if condition is not None and failed else None,
            silent_too_long=silent,
            verdict=self._look(rollout) if looking else None,
        )

    def _look(self, rollout: Rollout) -> Verdict | None:
        share = _compared(rollout)
        if share is None:
            return None
        looks = self.journal.read(rollout)
        if looks is None:  # the journal was lost: what was counted since the step began makes one look
            looks = Looks.from_events(rollout)
        looks, verdict = looks.take(rollout.plan, self.target.look(share))
        self.journal.write(rollout, looks)
        return verdict

    def _act(self, rollout: Rollout, decision: Decision) -> None:
        match decision.action:
            case Action.WAIT:
                return
            case Action.CONFIRM:
                self._confirm(rollout)
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
        looks = self.journal.read(rollout) if rollout.phase in {Phase.CANARY, Phase.HELD} else None
        condition = self._conditions.get(rollout.new)
        served = {"serving": dict(condition.serving)} if condition is not None and condition.serving else {}
        body = {
            "rollout": rollout.name,
            "state": "intent",
            "reason": decision.reason,
            "numbers": dict(decision.numbers),
            "looks": looks.record() if looks else [],
            **served,
            **extra,
        }
        self.ledger.record(kind, rollout.new.subject, body)

    def _confirm(self, rollout: Rollout) -> None:
        """Record that an intent came true, after the projections (aliases, stages) that belong to it."""
        body: dict[str, Any] = {"rollout": rollout.name, "state": "done", "reason": rollout.reason}
        new, usecase = rollout.new, rollout.new.usecase
        if rollout.phase is Phase.PROMOTING:
            self.registry.set_alias(usecase, "champion", new.version)
            self.registry.set_alias(usecase, "challenger", None)
            if rollout.old is not None and not self._wanted_back(rollout):
                self.registry.archive(rollout.old, f"Version {new.version} has taken over.")
            self.ledger.record(EventKind.ROLLOUT_PROMOTED, new.subject, body)
        elif rollout.phase is Phase.ROLLING_BACK:
            self.registry.set_alias(usecase, "challenger", None)
            self.registry.archive(new, rollout.reason)
            self.ledger.record(EventKind.ROLLOUT_ROLLED_BACK, new.subject, {**body, "cause": str(rollout.cause)})
        else:
            self.registry.set_alias(usecase, "challenger", new.version)
            share = _compared(rollout)
            counters = asdict(self.target.look(share)) if share else {}
            extra = {"step": rollout.step, "percent": rollout.percent, "counters": counters}
            self.ledger.record(EventKind.ROLLOUT_STEP, new.subject, {**body, **extra})

    def _wanted_back(self, rollout: Rollout) -> bool:
        """Look once more, just before archiving: people may have gone back to the old version since the tick began."""
        standing = approvals(self.ledger.read()).get(rollout.new.usecase, [])
        return is_rollback([one for one in standing if one.seq > rollout.seq], rollout.old)

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


def _compared(rollout: Rollout) -> Share | None:
    """Return the share that a rollout's step asks for; None for the first version, which is compared with nothing."""
    if rollout.old is None:
        return None
    return Share(rollout.old, (Challenger(rollout.new, rollout.percent),), rollout=rollout.name)


def _running(history: History) -> list[Served]:
    """Return the versions that must run: the champion's first, so that it is never the one that waits."""
    current = history.current
    wanted = [history.champion]
    if current is not None and current.phase is not Phase.ROLLING_BACK:
        wanted.append(current.new)
    return [served for served in wanted if served is not None]


def _progress(history: History, reason: str, *, settled: bool) -> Progress:
    last = history.rollouts[-1] if history.rollouts else None
    outcome = str(last.phase) if last else None
    if settled and last is not None and last.phase is Phase.ROLLED_BACK:
        reason = f"Version {last.new.version} was rolled back: {last.reason}"
    champion = history.champion.version if history.champion else None
    percent = 100 if champion else 0
    return Progress(history.usecase, champion, None, percent, last.phase if last else None, reason, settled, outcome)


def _progress_of(rollout: Rollout, decision: Decision, verdict: Verdict | None) -> Progress:
    numbers = verdict.numbers if verdict else {}
    return Progress(
        usecase=rollout.new.usecase,
        champion=rollout.old.version if rollout.old else None,
        challenger=rollout.new.version,
        percent=rollout.percent,
        phase=rollout.phase,
        reason=decision.reason,
        settled=rollout.phase is Phase.HELD and decision.action is Action.WAIT,
        outcome=str(rollout.phase),
        evidence=numbers.get("evidence"),
        threshold=numbers.get("threshold"),
        numbers=numbers,
    )
