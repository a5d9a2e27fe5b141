"""Puts the server's signature under a version: while it is registered, or later for one that has none."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa
import structlog

from flywheel import events
from flywheel.errors import FlywheelError
from flywheel.events import Event, EventKind
from registry.doors.artifacts import digest_of, downloaded
from registry.signing.signer import configured_signer, signature_event

log = structlog.get_logger()


class Store(Protocol):
    """The gate store, as far as signing needs it."""

    engine: sa.Engine

    def get_model_version(self, name: str, version: str) -> Any:
        """Return a version; raises MlflowException when there is none."""

    def get_model_version_download_uri(self, name: str, version: str) -> Any:
        """Return where its files are."""

    def transaction(self) -> AbstractContextManager[sa.Connection]:
        """Open a transaction with the chain's head locked."""


def sign_version(store: Store, name: str, version: str, actor: str) -> Event | None:
    """Sign what a version's location holds now and record it; None where no key is configured.

    Raises:
        IntegrityError: The version's files cannot be read, or the key service does not sign.
        UsageError: The settings name no usable key.
        MlflowException: There is no such version.
    """
    if configured_signer() is None:
        return None
    body = _signed(store, name, version)
    if body is None:
        return None
    with store.transaction() as connection:
        store.get_model_version(name, version)  # it may have been deleted meanwhile
        return events.append(connection, EventKind.VERSION_SIGNED, f"{name}/{version}", actor, body)


def signature_or_none(folder: Path, digest: str) -> dict[str, Any] | None:
    """Sign the folder of a version that is being registered; a failure is logged, and leaves it without a signature."""
    try:
        return signature_event(folder, digest)
    except FlywheelError as fault:
        log.warning("version has no signature", digest=digest, reason=str(fault))
        return None


def newest_signature(store: Store, name: str, version: str) -> Event | None:
    """Return the last `version.signed` of a version; None without one."""
    with store.engine.connect() as connection:
        found = events.read(connection, EventKind.VERSION_SIGNED, f"{name}/{version}")
    return found[-1] if found else None


def _signed(store: Store, name: str, version: str) -> dict[str, Any] | None:
    location = str(store.get_model_version_download_uri(name, version))
    with downloaded(location) as folder:
        body = signature_event(folder, digest_of(folder, name, version))
    return None if body is None else {"model": name, "version": version, **body}
