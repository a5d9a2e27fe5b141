"""What `flywheel deploy --dry-run` prints: what would be done about each use case, and what can be expected of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from deploy.desired import Approval, Served, approvals, is_rollback, newest, nothing_approved, policy_of
from deploy.evidence.references import read_traffic
from deploy.loop.fold import histories, history_of
from deploy.loop.foretold import plan_lines
from deploy.loop.interfaces import Registered
from deploy.loop.leading import home_vigils, local_target, log_observatory, mlflow_registry
from deploy.loop.ledger import read_trail
from deploy.loop.observing import LogObservatory
from deploy.loop.planning import Planning
from deploy.loop.rollout import History
from deploy.loop.unapproved import waits_for_approval
from flywheel.errors import IntegrityError, UsageError
from flywheel.events import Event
from flywheel.serving import Serving, load_serving
from flywheel.settings import Settings


def dry_run(settings: Settings, usecase: str | None) -> Iterator[str]:
    """Say what a controller would do, use case by use case; nothing is done.

    Raises:
        IntegrityError: The audit trail is broken, or the record of a use case cannot be read; all others are said.
        UsageError: Nothing of the use case was ever approved.
        FlywheelError: A part of the stack does not answer.
    """
    registry = mlflow_registry(settings)
    observatory, serving, events = log_observatory(settings), load_serving(settings.root), read_trail(settings)
    foreseeing = Foreseeing(
        registry, observatory, Planning(local_target(settings), observatory, home_vigils(settings).lately), serving
    )
    approved, damaged = approvals(events), list[str]()
    known = {*histories(events), *approved}
    if usecase is not None and usecase not in known:
        raise UsageError(nothing_approved(usecase))
    for name in sorted(known if usecase is None else {usecase}):
        try:
            yield from foreseeing.lines(name, events, approved)
        except IntegrityError as fault:
            damaged.append(name)
            yield f"{name}: {fault}"
    if damaged:
        raise IntegrityError(f"What would be done about {', '.join(damaged)} is not known; see above.")


@dataclass(frozen=True)
class Foreseeing:
    """What the words on a use case are made of."""

    registry: Registered
    observatory: LogObservatory
    planning: Planning
    serving: Serving

    def lines(self, name: str, events: list[Event], approved: Mapping[str, list[Approval]]) -> Iterator[str]:
        """Say what a controller would do about one use case.

        Raises:
            IntegrityError: Its record cannot be read.
            FlywheelError: A part of the stack does not answer.
        """
        history, standing = history_of(events, name), approved.get(name, [])
        stages = self.registry.stages(name, [approval.served.version for approval in standing])
        desired = newest(standing, stages, history.failed)
        rollback = is_rollback(standing, desired)
        yield f"{name}: {history.sentence(desired, rollback=rollback)}"
        champion = history.champion
        wanted = desired or champion
        if waiting := waits_for_approval(self.registry, name, wanted.version if wanted is not None else None):
            yield f"  {waiting}"
        if desired is None or champion is None or rollback or not _starts(history, desired):
            return
        plan = self.planning.plan(desired, champion, policy_of(events, name))
        traffic = read_traffic(self.observatory.log, name, datetime.now(UTC).replace(tzinfo=None))
        yield from (f"  {line}" for line in plan_lines(plan, traffic, pods=self.serving.of(name).replicas))


def _starts(history: History, desired: Served) -> bool:
    current = history.current
    waits = current is not None and (current.is_experiment or current.new == desired)
    return desired != history.champion and not waits
