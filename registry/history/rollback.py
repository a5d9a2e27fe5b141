"""Rollback: one transaction that brings the last good version back to Production and archives what took its place.

It asks for no new approval and minds no freeze: the version was approved for these very bytes before, was champion and
did not fail. That its stored bytes are still those is measured again.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

from flywheel import events
from flywheel.errors import FlywheelError, IntegrityError, TransientError
from flywheel.events import EventKind
from flywheel.rollbacks import failure
from registry.caller import floor_policy, policy_of
from registry.doors.artifacts import version_digest
from registry.history.account import reigns_until
from registry.history.champions import Good, Reign, Unfit, decisions, last_good
from registry.history.operators import require_operator
from registry.history.trail import LAST_SEQ, spans
from registry.policy.rules import ARCHIVED, PRODUCTION
from registry.store.decisions import AUTHOR_TAG
from registry.store.gate import GateStore

NO_REASON = "no reason given"


@dataclass(frozen=True)
class Plan:
    """What a rollback does: `target` comes back, pinned to its approved bytes; `leaving` is archived."""

    target: Good
    leaving: tuple[str, ...]


def roll_back(store: GateStore, name: str, actor: str, *, to: str | None = None, reason: str = "") -> Plan:
    """Bring a model's last good version back.

    Args:
        store: Of this server.
        name: The model.
        actor: Who asks.
        to: A former champion; by default the last one before the present one that did not fail.
        reason: For the record.

    Raises:
        MlflowException: There is no such model, or the actor may not operate it.
        FlywheelError: There is nothing to go back to.
        IntegrityError: The version's stored bytes are not those that were approved.
        TransientError: The registry changed meanwhile.
    """
    require_operator(floor_policy(), actor, f"Rolling back '{name}'")
    store.get_registered_model(name)
    with store.engine.connect() as connection:
        plan = _plan(connection, store, name, to)
    # The download takes seconds: it comes before the lock.
    fault = _changed(store, name, plan.target)
    with store.transaction() as connection:
        require_operator(policy_of(connection), actor, f"Rolling back '{name}'")
        if _plan(connection, store, name, to) != plan:
            raise TransientError(
                f"'{name}' changed while it was rolled back. Look at `flywheel history`, and try again."
            )
        if fault is None:
            _move(connection, store, name, plan, actor, reason or NO_REASON)
        else:
            body = {"model": name, "version": plan.target.version, "to": PRODUCTION, "rollback": True, "reason": fault}
            subject = f"{name}/{plan.target.version}"
            events.append(
                connection, EventKind.TRANSITION_REFUSED, subject, actor, {**body, "digest": plan.target.digest}
            )
    if fault is not None:
        raise IntegrityError(fault)
    return plan


def _plan(connection: sa.Connection, store: GateStore, name: str, to: str | None) -> Plan:
    stages = _stages(connection, name)
    live = [number for number, stage in stages.items() if stage == PRODUCTION]
    reigns, aliased = reigns_until(connection, spans(connection, name), LAST_SEQ)
    present = reigns[-1].version if reigns and reigns[-1].until is None else None
    # A newer version that is on its way goes by a rollback, and the champion stays. The one before it may be live as
    # well, while it is kept warm: that one comes back.
    coming = (
        aliased
        and present in live
        and any(_came(connection, name, one) > _came(connection, name, present) for one in live)
    )
    target = _target(connection, name, stages.keys(), reigns, to, None if coming else present)
    leaving = tuple(number for number in live if number != target.version)
    if not leaving and target.version == present and target.version in live:
        raise FlywheelError(
            f"Version {present} of '{name}' is live already and nothing comes after it. Nothing is done."
        )
    return Plan(target, leaving)


def _stages(connection: sa.Connection, name: str) -> dict[str, str]:
    """Return the stage of every version by number, in order; not as MLflow's entities, for there may be thousands."""
    query = sa.text(
        "SELECT version, current_stage FROM model_versions WHERE name = :name AND current_stage <> :deleted "
        "ORDER BY version"
    )
    rows = connection.execute(query, {"name": name, "deleted": STAGE_DELETED_INTERNAL})
    return {str(number): str(stage) for number, stage in rows}


def _came(connection: sa.Connection, name: str, version: str | None) -> int:
    """Return the number of the event that put a version into Production last; 0 without one."""
    found = decisions(events.read(connection, EventKind.TRANSITION, f"{name}/{version}"))
    return found[-1].seq if found else 0


def _target(
    connection: sa.Connection,
    name: str,
    versions: Set[str],
    reigns: Sequence[Reign],
    to: str | None,
    left: str | None,
) -> Good:
    def judge(version: str) -> Good | Unfit:
        return _judged(connection, name, version, versions)

    if to is not None:
        if to not in versions:
            raise FlywheelError(f"Model '{name}' has no version {to}. `flywheel history {name}` lists its champions.")
        was = any(reign.version == to for reign in reigns)
        wanted = judge(to) if was else Unfit(to, "was never champion; have it approved instead")
        if isinstance(wanted, Unfit):
            raise FlywheelError(f"'{name}' cannot go back to version {to}: it {wanted.reason}.")
        return wanted
    found = last_good(reigns, left, judge)
    if isinstance(found, Good):
        return found
    why = "; ".join(f"version {one.version} {one.reason}" for one in found[:5]) or "no version was champion before it"
    raise FlywheelError(f"'{name}' has no version to go back to: {why}. Archive what is live, or approve another.")


def _judged(connection: sa.Connection, name: str, version: str, versions: Set[str]) -> Good | Unfit:
    if version not in versions:
        return Unfit(version, "was deleted")
    subject = f"{name}/{version}"
    failed = failure(events.read(connection, EventKind.ROLLOUT_ROLLED_BACK, subject), subject)
    if failed is not None:
        return Unfit(version, f"failed in a rollout ({failed.rstrip('.')})")
    moves = events.read(connection, EventKind.TRANSITION, subject)
    approved = [one for one in decisions(moves) if one.digest]
    if not approved:
        return Unfit(version, "was never approved for its bytes")
    if any(move.body.get("rollback_to") and move.seq > approved[-1].seq for move in moves):
        return Unfit(version, "was rolled back from, and nobody has approved it anew since")
    return Good(version, str(approved[-1].digest))


def _changed(store: GateStore, name: str, target: Good) -> str | None:
    """Measure the stored bytes of the version that shall come back; say what is wrong with them."""
    what = f"'{name}' cannot go back to version {target.version}: "
    try:
        location = str(store.get_model_version_download_uri(name, target.version))
        found = version_digest(name, target.version, location)
    except (IntegrityError, MlflowException) as fault:
        return f"{what}its files cannot be read. {fault}"
    if found == target.digest:
        return None
    return (
        f"{what}its files are not those that were approved (digest {found[:19]}…, approved {target.digest[:19]}…). "
        "Find out who changed them, and name another version with --to."
    )


def _move(connection: sa.Connection, store: GateStore, name: str, plan: Plan, actor: str, reason: str) -> None:
    why = f"Rolled back to version {plan.target.version}: {reason}"
    for number in plan.leaving:
        _record(
            connection, store, name, number, actor, {"to": ARCHIVED, "reason": why, "rollback_to": plan.target.version}
        )
    back = {"to": PRODUCTION, "digest": plan.target.digest, "rollback": True, "reason": reason}
    _record(connection, store, name, plan.target.version, actor, back)


def _record(
    connection: sa.Connection, store: GateStore, name: str, number: str, actor: str, what: Mapping[str, Any]
) -> None:
    version = store.get_model_version(name, number)
    body = {
        "model": name,
        "version": number,
        "from": version.current_stage,
        "digest": None,
        "author": version.tags.get(AUTHOR_TAG),
        "run_id": version.run_id,
        **what,
    }
    events.append(connection, EventKind.TRANSITION, f"{name}/{number}", actor, body)
    # MLflow's own, below the gate: the gate would ask for what a rollback does not need.
    SqlAlchemyStore.transition_model_version_stage(store, name, number, str(what["to"]), False)
