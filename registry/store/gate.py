"""The registry store: MLflow's own, with the policy in front of every write and an event behind it.

What people decide about versions is `registry.store.decisions`; here is what else changes models, versions, aliases and
tags, each in one transaction with its event.
"""

from collections.abc import Iterable
from urllib.parse import urlsplit

from mlflow.entities.model_registry import ModelVersion, ModelVersionTag, RegisteredModel, RegisteredModelTag
from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.store.artifact.utils.models import _parse_model_uri
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
from mlflow.tracking import MlflowClient
from sqlalchemy import Connection, func

from flywheel import events
from flywheel.errors import UsageError
from flywheel.events import EventKind
from registry.caller import caller, enforce
from registry.doors.makers import makers
from registry.policy.reviews import parse_tag
from registry.policy.rules import (
    PRODUCTION,
    Measured,
    is_reserved,
    is_review,
    judge_alias,
    judge_removal,
    judge_tag,
    judge_traffic,
    judge_write,
)
from registry.policy.trail import told
from registry.store.decisions import AUTHOR_TAG, DIGEST_TAG, DecidingStore, body_of, subject_of
from registry.store.delivery import delivered


class GateStore(DecidingStore):
    """MLflow's registry store under Flywheel's policy; MLflow makes it for addresses that start with `flywheel+`."""

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
            with self.transaction() as connection:
                made = super().create_model_version(
                    name, source, run_id, stamped, run_link, description, local_model_path, model_id
                )
                found = delivery.measured(str(made.version), self._location(name, made.version))
                self._record_birth(connection, author, made, found)
                if (signed := delivery.signed(str(made.version))) is not None:
                    body = {"model": name, "version": str(made.version), **signed}
                    events.append(connection, EventKind.VERSION_SIGNED, subject_of(made), author, body)
            return self.get_model_version(name, made.version)

    def delete_model_version(self, name: str, version: str) -> None:
        """Delete a version that neither is in Production nor carries traffic."""
        actor = caller()
        self._may_write(actor, f"Deleting version {version} of '{name}'")
        with self.transaction() as connection:
            doomed = self.get_model_version(name, version)
            what = f"Deleting version {doomed.version} of '{name}'"
            enforce(judge_removal(what, [doomed.current_stage], doomed.aliases))
            self._record_deletion(connection, actor, doomed)
            super().delete_model_version(name, version)

    def delete_registered_model(self, name: str) -> None:
        """Delete a model of which no version is in Production or carries traffic."""
        actor = caller()
        self._may_write(actor, f"Deleting '{name}'")
        with self.transaction() as connection:
            versions = self._judged_versions(f"Deleting '{name}'", name)
            for version in versions:
                self._record_deletion(connection, actor, version)
            super().delete_registered_model(name)

    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel:
        """Rename a model of which no version is in Production or carries traffic; its events keep the old name."""
        actor = caller()
        self._may_write(actor, f"Renaming '{name}'")
        with self.transaction() as connection:
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
        with self.transaction() as connection:
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
        with self.transaction() as connection:
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
        events.append(connection, EventKind.VERSION_CREATED, subject_of(made), author, body)
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

    def _judged_versions(self, what: str, name: str) -> list[ModelVersion]:
        model = self.get_registered_model(name)
        versions = self._versions(name)
        enforce(judge_removal(what, [version.current_stage for version in versions], model.aliases))
        return versions

    def _record_deletion(self, connection: Connection, actor: str, version: ModelVersion) -> None:
        body = body_of(version, STAGE_DELETED_INTERNAL)
        events.append(connection, EventKind.TRANSITION, subject_of(version), actor, body)


def _honest(tags: Iterable[ModelVersionTag | RegisteredModelTag] | None) -> list[ModelVersionTag | RegisteredModelTag]:
    return [tag for tag in tags or [] if not is_reserved(tag.key) and not is_review(tag.key)]
