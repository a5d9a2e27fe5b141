"""Envoy's two files as this target writes them: clusters, then health, then routes, one step at a call."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy.gateway.admin import Counts, Gateway
from deploy.gateway.clusters import cluster_document
from deploy.gateway.documents import write_document
from deploy.gateway.remembered import read_splits
from deploy.gateway.routes import route_document
from deploy.gateway.traffic import Backend, Split
from deploy.local.places import Place
from deploy.shares import Share
from flywheel.errors import FlywheelError, SpecError, TransientError
from flywheel.serving import Serving, load_serving
from flywheel.settings import Settings

# Envoy takes a file within milliseconds of its rename.
TAKEN_SECONDS = 2.0


class Routing:
    """The traffic of one home. What is routed is read from the route file, never remembered."""

    def __init__(self, settings: Settings, gateway: Gateway) -> None:
        folder = settings.root / "envoy" / "dynamic"
        self._clusters, self._routes = folder / "cds.json", folder / "rds.json"
        self._gateway = gateway
        self._settings = settings
        self._serving: Serving | None = None

    def splits(self) -> dict[str, Split]:
        """Return what is routed, by use case."""
        return read_splits(self._routes)

    def clusters(self) -> set[str]:
        """Return the names of the clusters of all versions that a route leads to."""
        return {one.cluster for split in self.splits().values() for one in split.backends}

    def bring(
        self, shares: Sequence[Share], places: Mapping[str, Place], defaults: Mapping[str, Backend] | None = None
    ) -> set[str]:
        """Bring traffic closer to these shares.

        Args:
            shares: What traffic should be.
            places: Where versions run.
            defaults: Agents of the declared safe default by use case.

        Returns:
            The use cases for which the gateway has confirmed exactly the share that was asked for.

        Raises:
            SpecError: serving.yaml is wrong, and was never read.
            TransientError: The gateway does not answer, or refuses a document.
        """
        routed = self.splits()
        defaults, serving = defaults or {}, self._read_serving()
        found = [split_of(share, places, defaults.get(share.champion.usecase)) for share in shares]
        wanted = {split.usecase: split for split in found if split is not None}
        backends = [*(place.backend for place in places.values()), *defaults.values()]
        clusters = cluster_document(backends, [*routed.values(), *wanted.values()], serving)
        _write(self._clusters, clusters)
        accepted = self._gateway.accepted()
        self._check_taken(self._clusters, accepted.clusters)
        if accepted.clusters == clusters["version_info"] and not accepted.warming:
            healthy = self._gateway.healthy()
            routed |= {
                name: best for name, one in wanted.items() if (best := safe_split(one, routed.get(name), healthy))
            }
            if routed:
                _write(self._routes, route_document(list(routed.values()), serving))
        in_force = self._gateway.accepted().routes
        self._check_taken(self._routes, in_force)
        confirmed = in_force == _version(self._routes)
        return {name for name, split in wanted.items() if confirmed and routed.get(name) == split}

    def _check_taken(self, path: Path, in_force: str | None) -> None:
        """Say so when Envoy goes on without what was written, which it refused; it keeps what it had."""
        if not path.exists() or _version(path) == in_force or time.time() - path.stat().st_mtime < TAKEN_SECONDS:
            return
        if self._gateway.refusals():
            raise TransientError(
                f"The gateway refuses {path} and keeps what it had. Its reason is in logs/gateway.log."
            )

    def withdraw(self, usecase: str) -> None:
        """Take a use case out of the routes; it is answered with 404 from then on."""
        routed = self.splits()
        if routed.pop(usecase, None) is not None:
            _write(self._routes, route_document(list(routed.values()), self._read_serving()))

    def routes_confirmed(self) -> bool:
        """Say whether the gateway works with the routes that were written.

        Raises:
            TransientError: The gateway does not answer.
        """
        return not self.splits() or self._gateway.accepted().routes == _version(self._routes)

    def agents_confirmed(self) -> bool:
        """Say whether the gateway works with the clusters that were written last.

        Raises:
            TransientError: The gateway does not answer.
        """
        accepted = self._gateway.accepted()
        return accepted.clusters == _version(self._clusters) and not accepted.warming

    def _read_serving(self) -> Serving:
        """Read serving.yaml; while it is wrong, what it said last holds, so that a rollback does not wait for it.

        Raises:
            SpecError: It is wrong, and was never read.
        """
        try:
            self._serving = load_serving(self._settings.root)
        except SpecError:
            if self._serving is None:  # its defaults would take users out of their arms
                raise
        return self._serving

    def healthy(self) -> set[str]:
        """Return the names of the clusters that pass the gateway's health checks."""
        return self._gateway.healthy()

    def counts(self) -> dict[str, Counts]:
        """Return the gateway's counters by cluster."""
        return self._gateway.counts()


def _version(path: Path) -> str:
    """Return the version of a document that was written."""
    return str(json.loads(path.read_text())["version_info"])


def _write(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document; one that Envoy would refuse is not written, and said to be so until it is mended."""
    try:
        write_document(path, dict(document))
    except FlywheelError as fault:
        raise TransientError(str(fault)) from fault


def split_of(share: Share, places: Mapping[str, Place], default: Backend | None = None) -> Split | None:
    """Return a share with the agents that serve it; None while one that takes requests has no place."""
    wanted = [share.champion, *(one.served for one in share.challengers)]
    found = [places[served.subject].backend for served in wanted if served.subject in places]
    if len(found) < len(wanted):
        return None
    percents = (one.percent for one in share.challengers)
    standby = places.get(share.previous.subject) if share.previous is not None else None
    return Split(
        found[0],
        tuple(zip(found[1:], percents, strict=True)),
        share.rollout,
        share.mirror_percent,
        standby.backend if standby is not None else None,
        default,
    )


def safe_split(wanted: Split, routed: Split | None, healthy: set[str]) -> Split | None:
    """Return the split that may be routed now: the wanted one when all that is new in it is healthy.

    Where nothing is routed yet, the champion alone is better than nothing. Going back, to the champion alone or to the
    version before it, needs no health: nothing that takes traffic is new in it. A version whose agents were replaced is
    not new. What only stands in for others may be unhealthy: it is passed by.
    """
    present = {one.cluster for one in routed.backends} if routed is not None else set()
    new = [one for one in wanted.arms.values() if one.cluster not in present]
    if wanted == routed or all(one.cluster in healthy for one in new):
        return wanted
    alone = replace(wanted, challengers=(), rollout=None, mirror_percent=0.0)
    return alone if routed is None and wanted.champion.cluster in healthy else routed
