"""What `flywheel deploy --dry-run` prints: what would be done about each use case, and what can be expected of it."""

from collections.abc import Iterator
from datetime import UTC, datetime

from deploy.desired import approvals, is_rollback, newest, policy_of
from deploy.evidence.references import read_traffic
from deploy.loop.foretold import plan_lines
from deploy.loop.leading import local_target, log_observatory, mlflow_registry
from deploy.loop.ledger import read_trail
from deploy.loop.planning import Planning
from deploy.loop.rollout import History, histories
from flywheel.serving import load_serving
from flywheel.settings import Settings


def dry_run(settings: Settings, usecase: str | None) -> Iterator[str]:
    """Say what a controller would do, use case by use case; nothing is done.

    Raises:
        FlywheelError: A part of the stack does not answer, or the audit trail is broken.
    """
    registry = mlflow_registry(settings)
    observatory, serving, events = log_observatory(settings), load_serving(settings.root), read_trail(settings)
    planning = Planning(local_target(settings), observatory)
    found, approved = histories(events), approvals(events)
    for name in sorted({*found, *approved} if usecase is None else {usecase}):
        history, standing = found.get(name, History(name)), approved.get(name, [])
        stages = registry.stages(name, [approval.served.version for approval in standing])
        desired = newest(standing, stages, history.failed)
        rollback = is_rollback(standing, desired)
        yield f"{name}: {history.sentence(desired, rollback=rollback)}"
        champion, current = history.champion, history.current
        waits = current is not None and (current.is_experiment or current.new == desired)
        starts = desired is not None and desired != champion and not waits
        if starts and desired is not None and champion is not None and not rollback:
            plan = planning.plan(desired, champion, policy_of(events, name))
            traffic = read_traffic(observatory.log, name, datetime.now(UTC).replace(tzinfo=None))
            yield from (f"  {line}" for line in plan_lines(plan, traffic, pods=serving.of(name).replicas))
