"""What people decide about versions, in MLflow's store: stages, overrides, reviews, and where a version stands.

One request, one transaction: the gate opens it, locks the head of the event chain, judges, lets MLflow's store work
inside it, appends the event and commits. MLflow's store opens its sessions through `ManagedSessionMaker`, so replacing
that attribute is enough to make its work join ours.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from mlflow.entities.model_registry import ModelVersion, ModelVersionTag
from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL, get_canonical_stage
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import Connection

from flywheel import events
from flywheel.events import EventKind
from flywheel.identities import SERVICES
from flywheel.policy import May, Policy, Role
from registry.caller import CACHED, caller, conflict, enforce, policy_of
from registry.doors import holders
from registry.doors.fingerprint import fingerprint
from registry.hooks.pre import any_hooks, vetoes
from registry.policy.facts import Facts
from registry.policy.in_force import CachedPolicy, adopt_first
from registry.policy.reviews import KINDS, Review, check_review, decisions
from registry.policy.rules import (
    ARCHIVED,
    PRODUCTION,
    RESERVED_PREFIX,
    Allowed,
    Measured,
    Refused,
    Transition,
    judge_bytes,
    judge_override,
    judge_review,
    judge_transition,
)
from registry.policy.standing import Standing, standing
from registry.policy.trail import Asked, gather, told
from registry.store.delivery import delivered
from registry.store.sessions import JoiningSessions, SessionMaker

SCHEME_PREFIX = "flywheel+"
AUTHOR_TAG = "flywheel.author"
DIGEST_TAG = "flywheel.digest"
Body = dict[str, Any]
MEASURED_DECISIONS = frozenset({"approve", "reject", "request_changes"})
TAG_LENGTH = 4000  # characters of a review that MLflow's pages show


class DecidingStore(SqlAlchemyStore):  # type: ignore[misc]  # MLflow is published without types
    """MLflow's registry store, in which the policy decides about stages."""

    def __init__(self, store_uri: str) -> None:
        super().__init__(store_uri.removeprefix(SCHEME_PREFIX))
        with self.engine.begin() as connection:
            events.install(connection)
            holders.install(connection)
            adopt_first(connection)
        self.recent = CachedPolicy()
        for cache in (self.recent, CACHED):  # the server's own, too
            cache.use(self.engine)
        stock: SessionMaker = vars(self)["ManagedSessionMaker"]
        self.sessions = JoiningSessions(stock)
        self.ManagedSessionMaker = self.sessions
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def transition_model_version_stage(
        self, name: str, version: str, stage: str, archive_existing_versions: bool
    ) -> ModelVersion:
        """Move a version to a stage; a refusal is recorded, then raised as a sentence."""
        actor, target = caller(), get_canonical_stage(stage)
        measured, veto = self._looked_at(actor, name, version, target, archive_existing_versions)
        with self.transaction() as connection:
            current, location = self._read(name, version)
            asked = transition_of(current, target, archive_existing_versions)
            verdict = self._judged(connection, actor, current, asked, measured)
            if isinstance(verdict, Allowed):
                verdict = judge_bytes(asked, measured, location, verdict)
            if isinstance(verdict, Allowed) and veto is not None:
                verdict = Refused(veto)
            body = body_of(current, asked.target, measured)
            if isinstance(verdict, Allowed):
                body |= {"grounds": verdict.grounds} if verdict.grounds else {}
                current = self._move(connection, actor, current, body, archive=archive_existing_versions)
            else:
                refusal = {**body, "reason": verdict.reason}
                events.append(connection, EventKind.TRANSITION_REFUSED, subject_of(current), actor, refusal)
        enforce(verdict)
        return current

    def override(self, name: str, version: str, reason: str) -> ModelVersion:
        """Move a version to Production against the policy's needs, with a reason and an alert."""
        actor = caller()
        may = actor in self._allowed(name, lambda may: may.override)
        measured = self._measure(name, version) if may else None
        with self.transaction() as connection:
            current, location = self._read(name, version)
            asked = transition_of(current, PRODUCTION, False)
            policy = self._policy(connection, name)
            verdict = judge_override(actor, asked, self._facts(connection, current, policy, measured), policy)
            if isinstance(verdict, Allowed):
                verdict = judge_bytes(asked, measured, location, verdict)
            body = {**body_of(current, PRODUCTION, measured), "reason": reason}
            if isinstance(verdict, Allowed):
                events.append(connection, EventKind.OVERRIDDEN, subject_of(current), actor, body)
                moved = {**body, "grounds": f"by override of {actor}"}
                current = self._move(connection, actor, current, moved, archive=False)
                alert = {**body, "sentence": f"{actor} overrode the policy for version {version} of '{name}': {reason}"}
                events.append(connection, EventKind.ALERT, subject_of(current), actor, alert)
            else:
                refusal = {**body, "reason": verdict.reason}
                events.append(connection, EventKind.TRANSITION_REFUSED, subject_of(current), actor, refusal)
        enforce(verdict)
        return current

    def review(self, name: str, version: str, decision: str, comment: str) -> Review:
        """Record what the caller says of a version's bytes, and show it as a tag.

        Raises:
            UsageError: There is no such decision, or it lacks its comment.
            MlflowException: The caller may not say that (403), or there is no such version (404).
        """
        check_review(decision, comment)
        actor = caller()
        may = decision in MEASURED_DECISIONS and actor in self._allowed(name, lambda may: may.review)
        measured = self._measure(name, version) if may else None
        with self.transaction() as connection:
            current, location = self._read(name, version)
            policy = self._policy(connection, name)
            facts = self._facts(connection, current, policy, measured)
            enforce(judge_review(actor, decision, facts, policy))
            if measured is not None and measured.location != location:
                raise conflict(f"The source of version {version} of '{name}' changed meanwhile. Look at it again.")
            if decision == "withdraw" and actor not in decisions(facts.reviews):
                raise conflict(f"{actor} has no review of version {version} of '{name}' to withdraw.")
            body = {"model": name, "version": str(version), "comment": comment.strip(), "digest": facts.digest}
            event = events.append(connection, KINDS[decision], subject_of(current), actor, body)
            shown = ModelVersionTag(*review_tag(decision, actor, comment, event.at))
            super().set_model_version_tag(name, version, shown)
        return Review(event.kind, actor, comment.strip(), facts.digest or "", event.at, event.seq)

    def standing(self, name: str, version: str, user: str) -> Standing:
        """Say where a version stands on its way to Production, by the bytes that were registered."""
        current, _ = self._read(name, version)
        with self.engine.connect() as connection:
            policy = self._policy(connection, name)
            return standing(user, self._facts(connection, current, policy), policy)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open one transaction, the head of the chain locked; what is called on the store inside joins it."""
        with self.sessions.transaction() as session:
            connection = session.connection()
            events.lock_head(connection)
            yield connection

    def _move(
        self, connection: Connection, actor: str, version: ModelVersion, body: Body, *, archive: bool
    ) -> ModelVersion:
        target = str(body["to"])
        others = self._versions(version.name) if archive else []
        for other in others:
            if other.current_stage == target and other.version != version.version:
                events.append(connection, EventKind.TRANSITION, subject_of(other), actor, body_of(other, ARCHIVED))
        events.append(connection, EventKind.TRANSITION, subject_of(version), actor, body)
        moved = super().transition_model_version_stage(version.name, version.version, target, archive)
        if target != PRODUCTION or version.tags.get(DIGEST_TAG) == body["digest"]:
            return moved
        tag = ModelVersionTag(DIGEST_TAG, body["digest"])
        super().set_model_version_tag(version.name, version.version, tag)
        return self.get_model_version(version.name, version.version)

    def _judged(
        self,
        connection: Connection,
        actor: str,
        current: ModelVersion,
        asked: Transition,
        measured: Measured | None,
    ) -> Allowed | Refused:
        policy = self._policy(connection, asked.model)
        if asked.target != PRODUCTION:
            return judge_transition(actor, asked, policy)
        return judge_transition(actor, asked, policy, self._facts(connection, current, policy, measured))

    def _looked_at(
        self, actor: str, name: str, version: str, target: str, archive: bool
    ) -> tuple[Measured | None, str | None]:
        """Do what may take seconds, before the lock: measure the bytes for who may move them, and ask the pre hooks."""
        if target != PRODUCTION and not any_hooks():
            return None, None
        policy = self.recent.read().policy.for_model(name)
        may = actor in policy.reviewers() or (actor in SERVICES and policy.production.robots == "gates")
        measured = self._measure(name, version) if target == PRODUCTION and may else None
        veto = vetoes(transition_of(self._read(name, version)[0], target, archive)) if any_hooks() else None
        return measured, veto

    def _measure(self, name: str, version: str) -> Measured:
        """Say what a version's bytes are now: as registered while the store lists them unchanged, else by download."""
        with self.sessions() as session:
            row = self._get_sql_model_version(session, name, version)
            number, location = str(row.version), location_of(row)
            born = told(session.connection(), name, number, kind=EventKind.VERSION_CREATED)
        if born.digest and born.listing and born.listing == fingerprint(location):
            return Measured(location, digest=born.digest, origin=born.origin)
        with delivered(lambda: location, name, number) as delivery:
            return delivery.measured(number, location)

    def _read(self, name: str, version: str) -> tuple[ModelVersion, str]:
        """Read a version, without the aliases, which no decision asks for, and where its bytes lie."""
        with self.sessions() as session:
            row = self._get_sql_model_version(session, name, version)
            return row.to_mlflow_entity(), location_of(row)

    def _allowed(self, name: str, what: Callable[[May], tuple[Role, ...]]) -> set[str]:
        """Return who may do something at all: nobody else is worth a download."""
        with self.engine.connect() as connection:
            policy = self._policy(connection, name)
        return policy.allowed(*what(policy.may))

    def _policy(self, connection: Connection, name: str) -> Policy:
        return policy_of(connection).for_model(name)

    def _facts(
        self, connection: Connection, version: ModelVersion, policy: Policy, measured: Measured | None = None
    ) -> Facts:
        champion = self._aliased(version.name, "champion")
        if champion == str(version.version):  # it is compared with nobody, not with itself; gates do likewise
            champion = None
        author = version.tags.get(AUTHOR_TAG)
        asked = Asked(version.name, str(version.version), author, champion, measured)
        return gather(connection, asked, policy, self.clock())

    def _location(self, name: str, version: str) -> str:
        return str(self.get_model_version_download_uri(name, version))

    def _aliased(self, name: str, alias: str) -> str | None:
        with self.sessions() as session:
            held = self._get_registered_model_alias(session, name, alias)
            return None if held is None else str(held.version)

    def _versions(self, name: str) -> list[ModelVersion]:
        with self.sessions() as session:
            alive = SqlModelVersion.current_stage != STAGE_DELETED_INTERNAL
            query = self._get_query(session, SqlModelVersion).filter(SqlModelVersion.name == name, alive)
            return [row.to_mlflow_entity() for row in query.order_by(SqlModelVersion.version)]


def location_of(row: SqlModelVersion) -> str:
    """Return where a version's bytes lie, as `get_model_version_download_uri` does."""
    return str(row.storage_location or row.source)


def transition_of(version: ModelVersion, target: str, archive: bool) -> Transition:
    """Say what is asked for: `version` shall go to stage `target`."""
    author = version.tags.get(AUTHOR_TAG)
    return Transition(version.name, str(version.version), author, version.current_stage, target, archive)


def review_tag(decision: str, actor: str, comment: str, at: datetime) -> tuple[str, str]:
    """Return name and value of the tag in which MLflow's pages show a review; comments have one of their own."""
    kind = "comment" if decision == "comment" else "review"
    said = {"approve": "approved", "reject": "rejected", "request_changes": "changes requested"}
    word = said.get(decision, "withdrawn" if decision == "withdraw" else "")
    text = " ".join(comment.split())
    told = f"{word} {at:%Y-%m-%d %H:%M} UTC".strip() + (f": {text}" if text else "")
    return f"{RESERVED_PREFIX}{kind}.{re.sub(r'[^-.0-9A-Za-z_]', '_', actor)}", told[:TAG_LENGTH]


def body_of(version: ModelVersion, target: str, measured: Measured | None = None) -> Body:
    """Return the body of the event by which a version leaves its stage for another."""
    return {
        "model": version.name,
        "version": str(version.version),
        "from": version.current_stage,
        "to": target,
        "digest": measured.digest if measured else version.tags.get(DIGEST_TAG),
        "author": version.tags.get(AUTHOR_TAG),
        "run_id": version.run_id,
        "location": measured.location if measured else None,
    }


def subject_of(version: ModelVersion) -> str:
    """Return how events name a version."""
    return f"{version.name}/{version.version}"
