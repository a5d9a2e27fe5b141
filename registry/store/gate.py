"""The registry store: MLflow's own, with the policy in front of every write and an event behind it.

One request, one transaction: the gate opens it, locks the head of the event chain, judges, lets MLflow's store work
inside it, appends the event and commits. MLflow's store opens its sessions through `ManagedSessionMaker`, so replacing
that attribute is enough to make its work join ours.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from mlflow.entities.model_registry import ModelVersion, ModelVersionTag, RegisteredModel, RegisteredModelTag
from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL, get_canonical_stage
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.store.artifact.utils.models import _parse_model_uri
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow.tracking import MlflowClient
from sqlalchemy import Connection, func

from flywheel import events
from flywheel.errors import UsageError
from flywheel.events import EventKind
from flywheel.identities import SERVICES
from flywheel.policy import May, Policy, Role
from registry.caller import CACHED, caller, conflict, enforce, policy_of
from registry.doors import holders
from registry.doors.fingerprint import fingerprint
from registry.doors.makers import makers
from registry.hooks.pre import any_hooks, vetoes
from registry.policy.facts import Facts
from registry.policy.in_force import CachedPolicy, adopt_first
from registry.policy.reviews import KINDS, Review, check_review, decisions, parse_tag
from registry.policy.rules import (
    ARCHIVED,
    PRODUCTION,
    RESERVED_PREFIX,
    Allowed,
    Measured,
    Refused,
    Transition,
    is_reserved,
    is_review,
    judge_alias,
    judge_bytes,
    judge_override,
    judge_removal,
    judge_review,
    judge_tag,
    judge_traffic,
    judge_transition,
    judge_write,
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


class GateStore(SqlAlchemyStore):  # type: ignore[misc]  # MLflow is published without types
    """MLflow's registry store under Flywheel's policy; MLflow makes it for addresses that start with `flywheel+`."""

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
        with self._locked() as connection:
            current = self.get_model_version(name, version)
            asked = _asked(current, target, archive_existing_versions)
            verdict = self._judged(connection, actor, asked, measured)
            if isinstance(verdict, Allowed):
                verdict = judge_bytes(asked, measured, self._location(name, version), verdict)
            if isinstance(verdict, Allowed) and veto is not None:
                verdict = Refused(veto)
            body = _body(current, asked.target, measured)
            if isinstance(verdict, Allowed):
                body |= {"grounds": verdict.grounds} if verdict.grounds else {}
                current = self._move(connection, actor, current, body, archive=archive_existing_versions)
            else:
                refusal = {**body, "reason": verdict.reason}
                events.append(connection, EventKind.TRANSITION_REFUSED, _subject(current), actor, refusal)
        enforce(verdict)
        return current

    def override(self, name: str, version: str, reason: str) -> ModelVersion:
        """Move a version to Production against the policy's needs, with a reason and an alert."""
        actor = caller()
        seen = self.get_model_version(name, version)
        may = actor in self._allowed(name, lambda may: may.override)
        measured = self._measure(seen) if may else None
        with self._locked() as connection:
            current = self.get_model_version(name, version)
            asked = _asked(current, PRODUCTION, False)
            policy = self._policy(connection, name)
            verdict = judge_override(actor, asked, self._facts(connection, current, policy, measured), policy)
            if isinstance(verdict, Allowed):
                verdict = judge_bytes(asked, measured, self._location(name, version), verdict)
            body = {**_body(current, PRODUCTION, measured), "reason": reason}
            if isinstance(verdict, Allowed):
                events.append(connection, EventKind.OVERRIDDEN, _subject(current), actor, body)
                moved = {**body, "grounds": f"by override of {actor}"}
                current = self._move(connection, actor, current, moved, archive=False)
                alert = {**body, "sentence": f"{actor} overrode the policy for version {version} of '{name}': {reason}"}
                events.append(connection, EventKind.ALERT, _subject(current), actor, alert)
            else:
                refusal = {**body, "reason": verdict.reason}
                events.append(connection, EventKind.TRANSITION_REFUSED, _subject(current), actor, refusal)
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
        seen = self.get_model_version(name, version)
        may = decision in MEASURED_DECISIONS and actor in self._allowed(name, lambda may: may.review)
        measured = self._measure(seen) if may else None
        with self._locked() as connection:
            current = self.get_model_version(name, version)
            policy = self._policy(connection, name)
            facts = self._facts(connection, current, policy, measured)
            enforce(judge_review(actor, decision, facts, policy))
            if measured is not None and measured.location != self._location(name, version):
                raise conflict(f"The source of version {version} of '{name}' changed meanwhile. Look at it again.")
            if decision == "withdraw" and actor not in decisions(facts.reviews):
                raise conflict(f"{actor} has no review of version {version} of '{name}' to withdraw.")
            body = {"model": name, "version": str(version), "comment": comment.strip(), "digest": facts.digest}
            event = events.append(connection, KINDS[decision], _subject(current), actor, body)
            shown = ModelVersionTag(*review_tag(decision, actor, comment, event.at))
            super().set_model_version_tag(name, version, shown)
        return Review(event.kind, actor, comment.strip(), facts.digest or "", event.at, event.seq)

    def standing(self, name: str, version: str, user: str) -> Standing:
        """Say where a version stands on its way to Production, by the bytes that were registered."""
        current = self.get_model_version(name, version)
        with self.engine.connect() as connection:
            policy = self._policy(connection, name)
            return standing(user, self._facts(connection, current, policy), policy)

    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str | None = None,
        tags: Iterable[ModelVersionTag] | None = None,
        run_link: str | None = None,
        description: str | None = None,
        local_model_path: str | None = None,
        model_id: str | None = None,
    ) -> ModelVersion:
        """Register a version, a copy included: its author is the caller, whatever its tags say."""
        author = caller()
        self._may_write(author, f"Registering a version of '{name}'")
        stamped = [*_honest(tags), ModelVersionTag(AUTHOR_TAG, author)]
        with delivered(lambda: self._source_location(source), name, self._next_version(name), signing=True) as delivery:
            with self._locked() as connection:
                made = super().create_model_version(
                    name, source, run_id, stamped, run_link, description, local_model_path, model_id
                )
                found = delivery.measured(str(made.version), self._location(name, made.version))
                self._record_birth(connection, author, made, found)
                if (signed := delivery.signed(str(made.version))) is not None:
                    body = {"model": name, "version": str(made.version), **signed}
                    events.append(connection, EventKind.VERSION_SIGNED, _subject(made), author, body)
            return self.get_model_version(name, made.version)

    def delete_model_version(self, name: str, version: str) -> None:
        """Delete a version that neither is in Production nor carries traffic."""
        actor = caller()
        self._may_write(actor, f"Deleting version {version} of '{name}'")
        with self._locked() as connection:
            doomed = self.get_model_version(name, version)
            what = f"Deleting version {doomed.version} of '{name}'"
            enforce(judge_removal(what, [doomed.current_stage], doomed.aliases))
            self._record_deletion(connection, actor, doomed)
            super().delete_model_version(name, version)

    def delete_registered_model(self, name: str) -> None:
        """Delete a model of which no version is in Production or carries traffic."""
        actor = caller()
        self._may_write(actor, f"Deleting '{name}'")
        with self._locked() as connection:
            versions = self._judged_versions(f"Deleting '{name}'", name)
            for version in versions:
                self._record_deletion(connection, actor, version)
            super().delete_registered_model(name)

    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel:
        """Rename a model of which no version is in Production or carries traffic; its events keep the old name."""
        actor = caller()
        self._may_write(actor, f"Renaming '{name}'")
        with self._locked() as connection:
            self._judged_versions(f"Renaming '{name}'", name)
            renamed = super().rename_registered_model(name, new_name)
            body = {"from": name, "to": new_name}
            for subject in (name, new_name):
                events.append(connection, EventKind.MODEL_RENAMED, subject, actor, body)
            return renamed

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias at a version; `champion` and `challenger` belong to the controller."""
        actor = caller()
        enforce(judge_alias(actor, alias))
        self._may_write(actor, f"Alias '{alias}'")
        with self._locked() as connection:
            reached = self.get_model_version(name, version).current_stage == PRODUCTION
            reached = reached or told(connection, name, str(version)).approved is not None
            enforce(judge_traffic(alias, str(version), approved=reached))
            before = self._aliased(name, alias)
            super().set_registered_model_alias(name, alias, version)
            body = {"model": name, "alias": alias, "from": before, "version": str(version)}
            events.append(connection, EventKind.ALIAS_MOVED, f"{name}/{version}", actor, body)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Remove an alias, under the rule of setting it."""
        actor = caller()
        enforce(judge_alias(actor, alias))
        self._may_write(actor, f"Alias '{alias}'")
        with self._locked() as connection:
            before = self._aliased(name, alias)
            super().delete_registered_model_alias(name, alias)
            body = {"model": name, "alias": alias, "from": before, "version": None}
            events.append(connection, EventKind.ALIAS_MOVED, name, actor, body)

    def create_registered_model(
        self,
        name: str,
        tags: Iterable[RegisteredModelTag] | None = None,
        description: str | None = None,
        deployment_job_id: str | None = None,
    ) -> RegisteredModel:
        """Create a model, without the server's tags."""
        self._may_write(caller(), f"Creating '{name}'")
        return super().create_registered_model(name, _honest(tags), description, deployment_job_id)

    def set_registered_model_tag(self, name: str, tag: RegisteredModelTag) -> None:
        """Set a tag that is not the server's."""
        enforce(judge_tag(tag.key))
        self._may_write(caller(), f"Tag '{tag.key}'")
        super().set_registered_model_tag(name, tag)

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Delete a tag that is not the server's."""
        enforce(judge_tag(key))
        self._may_write(caller(), f"Tag '{key}'")
        super().delete_registered_model_tag(name, key)

    def set_model_version_tag(self, name: str, version: str, tag: ModelVersionTag) -> None:
        """Set a tag that is not the server's; the tag `review` gives a review."""
        enforce(judge_tag(tag.key))
        if is_review(tag.key):
            try:
                self.review(name, version, *parse_tag(tag.value))
            except UsageError as fault:
                raise MlflowException(str(fault), INVALID_PARAMETER_VALUE) from fault
            return
        self._may_write(caller(), f"Tag '{tag.key}'")
        super().set_model_version_tag(name, version, tag)

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        """Delete a tag that is not the server's."""
        enforce(judge_tag(key))
        self._may_write(caller(), f"Tag '{key}'")
        super().delete_model_version_tag(name, version, key)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open one transaction, the head of the chain locked; what is called on the store inside joins it."""
        with self._locked() as connection:
            yield connection

    @contextmanager
    def _locked(self) -> Iterator[Connection]:
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
                events.append(connection, EventKind.TRANSITION, _subject(other), actor, _body(other, ARCHIVED))
        events.append(connection, EventKind.TRANSITION, _subject(version), actor, body)
        moved = super().transition_model_version_stage(version.name, version.version, target, archive)
        if target != PRODUCTION or version.tags.get(DIGEST_TAG) == body["digest"]:
            return moved
        tag = ModelVersionTag(DIGEST_TAG, body["digest"])
        super().set_model_version_tag(version.name, version.version, tag)
        return self.get_model_version(version.name, version.version)

    def _judged(
        self, connection: Connection, actor: str, asked: Transition, measured: Measured | None
    ) -> Allowed | Refused:
        policy = self._policy(connection, asked.model)
        if asked.target != PRODUCTION:
            return judge_transition(actor, asked, policy)
        current = self.get_model_version(asked.model, asked.version)
        return judge_transition(actor, asked, policy, self._facts(connection, current, policy, measured))

    def _looked_at(
        self, actor: str, name: str, version: str, target: str, archive: bool
    ) -> tuple[Measured | None, str | None]:
        """Do what may take seconds, before the lock: measure the bytes for who may move them, and ask the pre hooks."""
        if target != PRODUCTION and not any_hooks():
            return None, None
        seen = self.get_model_version(name, version)
        policy = self.recent.read().policy.for_model(name)
        may = actor in policy.reviewers() or (actor in SERVICES and policy.production.robots == "gates")
        measured = self._measure(seen) if target == PRODUCTION and may else None
        return measured, vetoes(_asked(seen, target, archive))

    def _measure(self, version: ModelVersion) -> Measured:
        """Say what a version's bytes are now: as registered while the store lists them unchanged, else by download."""
        number, location = str(version.version), self._location(version.name, version.version)
        with self.engine.connect() as connection:
            born = told(connection, version.name, number)
        if born.digest and born.listing and born.listing == fingerprint(location):
            return Measured(location, digest=born.digest, origin=born.origin)
        with delivered(lambda: location, version.name, number) as delivery:
            return delivery.measured(number, location)

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

    def _record_birth(self, connection: Connection, author: str, made: ModelVersion, found: Measured) -> None:
        location = self._location(made.name, str(made.version))
        body = {
            "model": made.name,
            "version": str(made.version),
            "author": author,
            "source": made.source,
            "storage_location": location,
            "run_id": made.run_id,
            "makers": sorted({*makers(connection, made.run_id, location), *self._makers_of_source(connection, made)}),
            "digest": found.digest,
            "listing": found.listing,
            "fault": found.fault,
            "origin": found.origin.body(),
        }
        events.append(connection, EventKind.VERSION_CREATED, _subject(made), author, body)
        if found.digest is not None:
            super().set_model_version_tag(made.name, made.version, ModelVersionTag(DIGEST_TAG, found.digest))

    def _makers_of_source(self, connection: Connection, made: ModelVersion) -> set[str]:
        """Return who made the version that this one is a copy of; nobody when it is none."""
        named = _parse_model_uri(made.source) if urlsplit(made.source).scheme == "models" else None
        if named is None or named.version is None:
            return set()
        return told(connection, named.name, named.version).makers

    def _may_write(self, actor: str, what: str) -> None:
        enforce(judge_write(actor, what, self.recent.read().policy))

    def _next_version(self, name: str) -> str:
        with self.sessions() as session:
            last = session.query(func.max(SqlModelVersion.version)).filter(SqlModelVersion.name == name).scalar()
            return str((last or 0) + 1)

    def _source_location(self, source: str) -> str:
        """Return where the bytes of a source lie, as MLflow's store finds it."""
        if urlsplit(source).scheme != "models":
            return source
        named = _parse_model_uri(source)
        if named.model_id is not None:
            return str(MlflowClient().get_logged_model(named.model_id).artifact_location)
        return self._location(named.name, named.version)

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

    def _judged_versions(self, what: str, name: str) -> list[ModelVersion]:
        model = self.get_registered_model(name)
        versions = self._versions(name)
        enforce(judge_removal(what, [version.current_stage for version in versions], model.aliases))
        return versions

    def _record_deletion(self, connection: Connection, actor: str, version: ModelVersion) -> None:
        body = _body(version, STAGE_DELETED_INTERNAL)
        events.append(connection, EventKind.TRANSITION, _subject(version), actor, body)


def _asked(version: ModelVersion, target: str, archive: bool) -> Transition:
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


def _body(version: ModelVersion, target: str, measured: Measured | None = None) -> Body:
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


def _subject(version: ModelVersion) -> str:
    return f"{version.name}/{version.version}"


def _honest(tags: Iterable[ModelVersionTag | RegisteredModelTag] | None) -> list[ModelVersionTag | RegisteredModelTag]:
    return [tag for tag in tags or [] if not is_reserved(tag.key) and not is_review(tag.key)]
