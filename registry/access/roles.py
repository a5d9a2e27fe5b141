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

import sqlalchemy as sa
from mlflow.server import auth
from mlflow.server.auth.db.models import SqlRole, SqlRolePermission, SqlUser, SqlUserRoleAssignment
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME
from sqlalchemy.orm import Session

from flywheel.policy import Policy
from registry.access.accounts import BY_POLICY
from registry.access.parts import PEOPLE, SERVICES, Part, part_of
from registry.caller import floor_policy

FRESH = 0.5  # seconds for which a reading of the policy holds
PARTS = (*PEOPLE.values(), *SERVICES.values())
PREFIX = "flywheel."
Held = dict[str, tuple[bool, frozenset[str]]]  # by account: administrator flag, and which of our roles


class RoleBook:
    """The policy's people as this process last read them. Threads may share it."""

    def __init__(self, read: Callable[[], Policy] = floor_policy, clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._clock = read, clock
        self._lock = threading.Lock()
        self._policy: Policy | None = None
        self._accounts: frozenset[str] = frozenset()
        self._until = 0.0

    def part(self, user: str) -> Part:
        """Return the part of an account, under the policy as it is now, and see to it that MLflow agrees.

        Raises:
            MlflowException: There is no policy, or it is wrong.
        """
        with self._lock:
            if self._policy is None or self._clock() >= self._until or user not in self._accounts:
                self._policy = self._read()
                self._accounts = keep_in_step(self._policy)
                self._until = self._clock() + FRESH
            return part_of(user, self._policy)


def keep_in_step(policy: Policy) -> frozenset[str]:
    """Give each account the role and the flag of its part where they differ; return the accounts."""
    with auth.store.ManagedSessionMaker(read_only=False) as session:
        held = _held(session)
        if held == _wanted(held, policy) and _granted(session) == _grants():
            return frozenset(held)
        session.info[BY_POLICY] = True
        with _alone(session):
            roles = _write_roles(session)
            held = _held(session)
            for user, (is_admin, names) in _wanted(held, policy).items():
                if held[user] != (is_admin, names):
                    _assign(session, user, is_admin=is_admin, roles={roles[name] for name in names}, all_roles=roles)
        return frozenset(held)


def _held(session: Session) -> Held:
    query = (
        sa.select(SqlUser.username, SqlUser.is_admin, SqlRole.name)
        .outerjoin(SqlUserRoleAssignment, SqlUserRoleAssignment.user_id == SqlUser.id)
        .outerjoin(SqlRole, sa.and_(SqlRole.id == SqlUserRoleAssignment.role_id, SqlRole.name.startswith(PREFIX)))
    )
    found: Held = {}
    for user, is_admin, role in session.execute(query):
        names = found.get(user, (False, frozenset()))[1]
        found[user] = (bool(is_admin), names | {role} if role else names)
    return found


def _wanted(held: Held, policy: Policy) -> Held:
    parts = {user: part_of(user, policy) for user in held}
    return {user: (part.is_admin, frozenset({part.role})) for user, part in parts.items()}


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


def _assign(session: Session, user: str, *, is_admin: bool, roles: set[int], all_roles: dict[str, int]) -> None:
    account = session.scalars(sa.select(SqlUser).where(SqlUser.username == user)).one()
    account.is_admin = is_admin
    mine = SqlUserRoleAssignment.user_id == account.id
    ours = SqlUserRoleAssignment.role_id.in_(set(all_roles.values()) - roles)
    session.execute(sa.delete(SqlUserRoleAssignment).where(mine, ours))
    has = set(session.scalars(sa.select(SqlUserRoleAssignment.role_id).where(mine)))
    session.add_all(SqlUserRoleAssignment(user_id=account.id, role_id=role) for role in sorted(roles - has))
    session.flush()


@contextmanager
def _alone(session: Session) -> Iterator[None]:
    """Keep other workers from doing the same at the same time; other databases than Postgres lock by themselves."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(sa.text("SELECT pg_advisory_xact_lock(714002)"))
    yield
