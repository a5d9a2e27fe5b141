"""The registry store: MLflow's own, with the policy in front of every write and an event behind it.

One request, one transaction: the gate opens it, locks the head of the event chain, judges, lets MLflow's store work
inside it, appends the event and commits. MLflow's store opens its sessions through `ManagedSessionMaker`, so replacing
that attribute is enough to make its work join ours.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from mlflow.entities.model_registry import ModelVersion, ModelVersionTag, RegisteredModel, RegisteredModelTag
from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL, get_canonical_stage
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import Connection

from flywheel import events
from flywheel.errors import IntegrityError
from flywheel.events import EventKind
from flywheel.policy import Policy
from flywheel.rollbacks import failure
from registry.caller import caller, enforce, floor_policy
from registry.doors import holders
from registry.doors.artifacts import version_digest
from registry.policy.rules import (
    ARCHIVED,
    PRODUCTION,
    Allowed,
    Measured,
    Refused,
    Transition,
    is_reserved,
    judge_alias,
    judge_bytes,
    judge_removal,
    judge_tag,
    judge_transition,
)
from registry.store.sessions import JoiningSessions, SessionMaker

SCHEME_PREFIX = "flywheel+"
AUTHOR_TAG = "flywheel.author"
DIGEST_TAG = "flywheel.digest"
Body = dict[str, str | None]


class GateStore(SqlAlchemyStore):  # type: ignore[misc]  # MLflow is published without types
    """MLflow's registry store under Flywheel's policy; MLflow makes it for addresses that start with `flywheel+`."""

    def __init__(self, store_uri: str) -> None:
        super().__init__(store_uri.removeprefix(SCHEME_PREFIX))
        with self.engine.begin() as connection:
            events.install(connection)
            holders.install(connection)
        stock: SessionMaker = vars(self)["ManagedSessionMaker"]
        self.sessions = JoiningSessions(stock)
        self.ManagedSessionMaker = self.sessions

    def transition_model_version_stage(
        self, name: str, version: str, stage: str, archive_existing_versions: bool
    ) -> ModelVersion:
        """Move a version to a stage; a refusal is recorded, then raised as a sentence."""
        actor, policy = caller(), floor_policy()
        target = get_canonical_stage(stage)
        seen = self.get_model_version(name, version)
        # The download takes seconds: it comes before the lock, and only for those who may.
        measured = self._measured(actor, _asked(seen, target, archive_existing_versions), policy)
        with self._locked() as connection:
            current = self.get_model_version(name, version)
            history = events.read(connection, EventKind.ROLLOUT_ROLLED_BACK, _subject(current))
            asked = replace(
                _asked(current, target, archive_existing_versions), failure=failure(history, _subject(current))
            )
            verdict = judge_transition(actor, asked, policy)
            if isinstance(verdict, Allowed):
                verdict = judge_bytes(asked, measured, self._location(name, version))
            body = _body(current, target, measured)
            if isinstance(verdict, Allowed):
                current = self._move(connection, actor, current, body, archive=archive_existing_versions)
            else:
                refusal = {**body, "reason": verdict.reason}
                events.append(connection, EventKind.TRANSITION_REFUSED, _subject(current), actor, refusal)
        enforce(verdict)
        return current

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
        stamped = [*_honest(tags), ModelVersionTag(AUTHOR_TAG, author)]
        with self._locked() as connection:
            made = super().create_model_version(
                name, source, run_id, stamped, run_link, description, local_model_path, model_id
            )
            body = {"model": name, "version": str(made.version), "author": author, "source": source}
            body["run_id"] = made.run_id
            events.append(connection, EventKind.VERSION_CREATED, _subject(made), author, body)
        return made

    def delete_model_version(self, name: str, version: str) -> None:
        """Delete a version that neither is in Production nor carries traffic."""
        actor = caller()
        with self._locked() as connection:
            doomed = self.get_model_version(name, version)
            what = f"Deleting version {doomed.version} of '{name}'"
            enforce(judge_removal(what, [doomed.current_stage], doomed.aliases))
            self._record_deletion(connection, actor, doomed)
            super().delete_model_version(name, version)

    def delete_registered_model(self, name: str) -> None:
        """Delete a model of which no version is in Production or carries traffic."""
        actor = caller()
        with self._locked() as connection:
            versions = self._judged_versions(f"Deleting '{name}'", name)
            for version in versions:
                self._record_deletion(connection, actor, version)
            super().delete_registered_model(name)

    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel:
        """Rename a model of which no version is in Production or carries traffic; its events keep the old name."""
        actor = caller()
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
        with self._locked() as connection:
            before = self._aliased(name, alias)
            super().set_registered_model_alias(name, alias, version)
            body = {"model": name, "alias": alias, "from": before, "version": str(version)}
            events.append(connection, EventKind.ALIAS_MOVED, f"{name}/{version}", actor, body)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Remove an alias, under the rule of setting it."""
        actor = caller()
        enforce(judge_alias(actor, alias))
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
        caller()
        return super().create_registered_model(name, _honest(tags), description, deployment_job_id)

    def set_registered_model_tag(self, name: str, tag: RegisteredModelTag) -> None:
        """Set a tag that is not the server's."""
        enforce(judge_tag(tag.key))
        super().set_registered_model_tag(name, tag)

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Delete a tag that is not the server's."""
        enforce(judge_tag(key))
        super().delete_registered_model_tag(name, key)

    def set_model_version_tag(self, name: str, version: str, tag: ModelVersionTag) -> None:
        """Set a tag that is not the server's."""
        enforce(judge_tag(tag.key))
        super().set_model_version_tag(name, version, tag)

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        """Delete a tag that is not the server's."""
        enforce(judge_tag(key))
        super().delete_model_version_tag(name, version, key)

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
        if target == PRODUCTION:
            tag = ModelVersionTag(DIGEST_TAG, body["digest"])
            super().set_model_version_tag(version.name, version.version, tag)
        super().transition_model_version_stage(version.name, version.version, target, archive)
        return self.get_model_version(version.name, version.version)

    def _measured(self, actor: str, asked: Transition, policy: Policy) -> Measured | None:
        if asked.target != PRODUCTION or isinstance(judge_transition(actor, asked, policy), Refused):
            return None
        location = self._location(asked.model, asked.version)
        try:
            return Measured(location, digest=version_digest(asked.model, asked.version, location))
        except IntegrityError as fault:
            return Measured(location, fault=str(fault))

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
    return [tag for tag in tags or [] if not is_reserved(tag.key)]
