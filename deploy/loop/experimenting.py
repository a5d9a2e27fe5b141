"""Starting an experiment and ending it, which only people ask for: one event each, and the loop does the rest.

Flows in: experiment.yaml, the audit trail and what the registry says. Flows out: `rollout.started` with several
challengers, or `rollout.rolled_back` without a winner.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deploy.desired import Served, approvals, in_production, policy_of
from deploy.experiments.plan import Experiment
from deploy.loop.experiment_plans import GUARDS
from deploy.loop.eyes import Eyes
from deploy.loop.fold import history_of
from deploy.loop.foretold import guards
from deploy.loop.interfaces import Ledger, Stages
from deploy.loop.planning import Planning
from deploy.loop.rollout import OPEN, History, Phase, Rollout, started_body
from deploy.shares import CHAMPION, challenger_arms
from deploy.verdict_plan import PlanSpec
from flywheel.errors import FlywheelError, UsageError
from flywheel.events import Event, EventKind
from flywheel.policy import RolloutPolicy
from flywheel.rollbacks import Cause


@dataclass(frozen=True)
class Start:
    """An experiment that may start now.

    Args:
        name: Of its rollout.
        champion: The control.
        arms: The challengers by their arms.
        percents: Of all arms.
        traffic: What finds harm.
        body: Of the event.
    """

    name: str
    champion: Served
    arms: Mapping[str, Served]
    percents: Mapping[str, float]
    traffic: PlanSpec | None
    body: Mapping[str, Any]

    def lines(self) -> list[str]:
        """Say what it does."""
        versions = {CHAMPION: self.champion, **self.arms}
        shares = ", ".join(f"{arm} (version {one.version}) {self.percents[arm]:g} %" for arm, one in versions.items())
        return [f"{self.name}: {shares}", *([f"harm: {guards(self.traffic)}"] if self.traffic is not None else [])]

    def record(self, ledger: Ledger) -> None:
        """Start it."""
        ledger.record(EventKind.ROLLOUT_STARTED, next(iter(self.arms.values())).subject, self.body)


@dataclass(frozen=True)
class Starting:
    """Checks an experiment against what is live and approved.

    Args:
        registry: Says what is in Production.
        planning: Makes its plan.
        now: The time, with its zone.
        sticky: Whether the gateway keeps callers on their side.
    """

    registry: Stages
    planning: Planning
    now: datetime
    sticky: bool

    def prepare(self, plan: Experiment, events: list[Event]) -> Start:
        """Return the experiment as it would start now.

        Raises:
            UsageError: It cannot; says why.
            IntegrityError: A package is not what was approved.
            TransientError: The registry or the gateway does not answer.
        """
        usecase = check_form(plan)
        history, policy = history_of(events, usecase), policy_of(events, usecase)
        champion = _champion(history)
        _check_ways(usecase, policy, sticky=self.sticky)
        arms = self._arms(plan, history, champion, events)
        name = f"{usecase}-experiment-{sum(one.is_experiment for one in history.rollouts) + 1}"
        known = plan.model_copy(update={"start": self.now, "rollout": name})
        made = self.planning.experiment(arms, champion, policy, known)
        first, *others = arms.values()
        body = started_body(first, champion, name, made, others=others)
        return Start(name, champion, arms, plan.shares, made.traffic, body)

    def _arms(self, plan: Experiment, history: History, champion: Served, events: list[Event]) -> dict[str, Served]:
        standing = approvals(events).get(history.usecase, [])
        stages = self.registry.stages(history.usecase, [one.served.version for one in standing])
        approved = {one.version: one for one in in_production(standing, stages)}
        for version in plan.versions.values():
            refusal = _why_not(version, approved.get(version), champion, history)
            if refusal is not None:
                raise UsageError(refusal)
        return {arm: approved[plan.versions[arm]] for arm in challenger_arms(len(plan.versions))}


def _why_not(version: str, approved: Served | None, champion: Served, history: History) -> str | None:
    """Return why a version cannot be a challenger; None where it can."""
    if approved is None:
        return f"Version {version} of '{history.usecase}' is not in Production. Have it approved first."
    if int(version) <= int(champion.version):
        return (
            f"Version {version} is no newer than the champion, version {champion.version}, which would take its place "
            "again. Name newer versions."
        )
    if approved.digest in history.failed:
        return f"Version {version} failed in a rollout; its bytes are not tried again. Train another one."
    return None


def _check_ways(usecase: str, policy: RolloutPolicy, *, sticky: bool) -> None:
    if not sticky:
        raise UsageError(
            f"Callers of '{usecase}' would change sides: serving.yaml gives sticky neither a header nor a cookie. "
            "Name one there."
        )
    beyond = next((guard for guard in policy.guard if guard not in GUARDS), None)
    if beyond is not None:
        raise UsageError(
            f"The policy demands guard '{beyond}' of every rollout of '{usecase}', which no experiment has. "
            "Deploy its versions one by one."
        )


def check_form(plan: Experiment) -> str:
    """Return the use case of a plan that can be started.

    Raises:
        UsageError: It names no use case or versions, or its shares are none that the gateway can have.
    """
    what = f"Experiment '{plan.name}'"
    if plan.usecase is None:
        raise UsageError(f"{what} names no usecase. Name the one whose versions it compares.")
    if plan.rollout is not None or plan.start is not None:
        raise UsageError(f"{what} names a rollout or a start. Leave them out: they are known once it has started.")
    wanted = challenger_arms(len(plan.challengers))
    if plan.control != CHAMPION or set(plan.challengers) != set(wanted):
        raise UsageError(
            f"{what} has arms that the gateway does not know. Call them {', '.join([CHAMPION, *wanted])}, the first of "
            "them the control."
        )
    if set(plan.versions) != set(wanted) or len(set(plan.versions.values())) < len(wanted):
        raise UsageError(f"{what} must name one version for each of {', '.join(wanted)}, and none twice, as versions.")
    uneven = next((arm for arm, share in plan.shares.items() if share != round(share)), None)
    if uneven is not None:
        raise UsageError(f"{what}: shares.{uneven} is {plan.shares[uneven]:g}. The gateway splits by whole percents.")
    return plan.usecase


def stop(ledger: Ledger, eyes: Eyes, usecase: str, because: str) -> Rollout:
    """End the experiment of a use case without a winner; return it as it was.

    Raises:
        UsageError: None is under way.
        FlywheelError: The champion does not answer: nobody would.
    """
    history = history_of(ledger.read(), usecase)
    rollout = history.current
    if rollout is None or not rollout.is_experiment or rollout.phase not in OPEN:
        raise UsageError(f"No experiment of '{usecase}' is under way. `flywheel deploy --dry-run` lists what is.")
    champion = rollout.old
    split = rollout.phase is not Phase.STARTING
    if split and champion is not None and champion.version not in eyes.target.healthy(usecase):
        raise FlywheelError(
            f"Version {champion.version} does not answer: without the others nobody would. Wait for it."
        )
    told = {"rollout": rollout.name, "state": "intent", "reason": because, "cause": str(Cause.NO_WINNER)}
    ledger.record(EventKind.ROLLOUT_ROLLED_BACK, rollout.new.subject, {**told, **eyes.told(rollout)})
    return rollout


def _champion(history: History) -> Served:
    if history.current is not None:
        raise UsageError(
            f"A rollout of '{history.usecase}' is under way "
            f"({history.current.title.lower()}: {history.current.phase}). Start the experiment when it is over."
        )
    if history.champion is None:
        raise UsageError(
            f"Nothing of '{history.usecase}' is live, so there is no control. Run `flywheel deploy` first."
        )
    return history.champion
