"""MLflow's roles and administrator flags, kept in step with the policy.

One role a part, with a grant on everything of a kind (`*`): people who come later see older models too, and MLflow's
check of a permission reads a handful of rows. A grant for each person on each model, as MLflow's own sharing does it,
makes every check read as many rows as there are models.

The policy is read anew when something is about to change and the last reading is older than `FRESH`; a change of policy
so holds within that time, in every worker, without a restart.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import sqlalchemy as sa
from mlflow.server import auth, handlers
from mlflow.server.auth.db.models import SqlRole, SqlRolePermission, SqlUser, SqlUserRoleAssignment
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME
from sqlalchemy.orm import Session

from flywheel.locks import AdvisoryLock
from flywheel.policy import Policy
from registry.access.accounts import BY_POLICY
from registry.access.parts import PEOPLE, SERVICES, Part, part_of
from registry.caller import policy_of

FRESH = 0.5  # seconds for which a reading of the policy holds
PARTS = (*PEOPLE.values(), *SERVICES.values())
PREFIX = "flywheel."


class Account(NamedTuple):
    """What MLflow holds of an account: its number, the administrator flag, and which of our roles."""

    number: int
    is_admin: bool
    roles: frozenset[str]


Held = dict[str, Account]


def policy_now() -> Policy:
    """Return the policy in force.

    Raises:
        MlflowException: There is none.
    """
    with handlers._get_model_registry_store().engine.connect() as connection:
        return policy_of(connection)


class RoleBook:
    """The policy's people as this process last read them. Threads may share it."""

    def __init__(self, read: Callable[[], Policy] = policy_now, clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._clock = read, clock
        self._lock = threading.Lock()
        self._policy: Policy | None = None
        self._accounts: frozenset[int] = frozenset()
        self._until = 0.0

    def part(self, user: str, account: int | None = None) -> Part:
        """Return what somebody may do under the policy as it is now, and see to it that MLflow agrees.

        `account` is their number in MLflow: one that was not there when the policy was read has no role yet.

        Raises:
            MlflowException: There is no policy, or it is wrong.
        """
        with self._lock:
            new = account is not None and account not in self._accounts
            if self._policy is None or new or self._clock() >= self._until:
                self._policy = self._read()
                self._accounts = keep_in_step(self._policy)
                self._until = self._clock() + FRESH
            return part_of(user, self._policy)


def keep_in_step(policy: Policy) -> frozenset[int]:
    """Give each account the role and the flag of its part where they differ; return the accounts' numbers."""
    with auth.store.ManagedSessionMaker(read_only=False) as session:
        held = _held(session)
        if held == _wanted(held, policy) and _granted(session) == _grants():
            return _numbers(held)
        session.info[BY_POLICY] = True
        with _alone(session):
            roles = _write_roles(session)
            held = _held(session)
            for user, wanted in _wanted(held, policy).items():
                if held[user] != wanted:
                    _assign(session, wanted, roles)
        return _numbers(held)


def _numbers(held: Held) -> frozenset[int]:
    return frozenset(account.number for account in held.values())


def _held(session: Session) -> Held:
    query = (
        sa.select(SqlUser.username, SqlUser.id, SqlUser.is_admin, SqlRole.name)
        .outerjoin(SqlUserRoleAssignment, SqlUserRoleAssignment.user_id == SqlUser.id)
        .outerjoin(SqlRole, sa.and_(SqlRole.id == SqlUserRoleAssignment.role_id, SqlRole.name.startswith(PREFIX)))
    )
    found: Held = {}
    for user, number, is_admin, role in session.execute(query):
        roles = found[user].roles if user in found else frozenset()
        found[user] = Account(int(number), bool(is_admin), roles | {role} if role else roles)
    return found


def _wanted(held: Held, policy: Policy) -> Held:
    parts = {user: part_of(user, policy) for user in held}
    return {user: Account(held[user].number, part.is_admin, frozenset({part.role})) for user, part in parts.items()}


def _granted(session: Session) -> set[tuple[str, str, str, str]]:
    query = (
        sa.select(
            SqlRole.name,
            SqlRolePermission.resource_type,
            SqlRolePermission.resource_pattern,
            SqlRolePermission.permission,
        )
        .join(SqlRole, SqlRole.id == SqlRolePermission.role_id)
        .where(SqlRole.name.startswith(PREFIX))
    )
    return {tuple(row) for row in session.execute(query)}


def _grants() -> set[tuple[str, str, str, str]]:
    return {(part.role, kind, "*", permission) for part in PARTS for kind, permission in part.grants.items()}


def _write_roles(session: Session) -> dict[str, int]:
    """Make the roles and their grants what they shall be; return their numbers."""
    query = sa.select(SqlRole).where(SqlRole.name.startswith(PREFIX), SqlRole.workspace == DEFAULT_WORKSPACE_NAME)
    known = {role.name: role for role in session.scalars(query)}
    for part in PARTS:
        if part.role not in known:
            text = "From the server's policy, which decides who has it."
            known[part.role] = SqlRole(name=part.role, workspace=DEFAULT_WORKSPACE_NAME, description=text)
            session.add(known[part.role])
    session.flush()
    numbers = {name: int(role.id) for name, role in known.items()}
    if _granted(session) != _grants():
        session.execute(sa.delete(SqlRolePermission).where(SqlRolePermission.role_id.in_(numbers.values())))
        for role, kind, pattern, permission in sorted(_grants()):
            row = {"role_id": numbers[role], "resource_type": kind, "resource_pattern": pattern}
            session.add(SqlRolePermission(**row, permission=permission))
    session.flush()
    return numbers


def _assign(session: Session, wanted: Account, known: dict[str, int]) -> None:
    account = session.get_one(SqlUser, wanted.number)
    account.is_admin = wanted.is_admin
    roles = {known[name] for name in wanted.roles}
    mine = SqlUserRoleAssignment.user_id == account.id
    others = SqlUserRoleAssignment.role_id.in_(set(known.values()) - roles)
    session.execute(sa.delete(SqlUserRoleAssignment).where(mine, others))
    has = set(session.scalars(sa.select(SqlUserRoleAssignment.role_id).where(mine)))
    session.add_all(SqlUserRoleAssignment(user_id=account.id, role_id=role) for role in sorted(roles - has))
    session.flush()


@contextmanager
def _alone(session: Session) -> Iterator[None]:
    """Keep other workers from doing the same at the same time; other databases than Postgres lock by themselves."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": AdvisoryLock.ROLES.value})
    yield
