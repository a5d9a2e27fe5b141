"""The registry as the controller uses it: stages to read, aliases to move, versions to archive."""

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from deploy.desired import PRODUCTION, Served
from flywheel.rest import RefusedError
from flywheel.signing import add_meta
from flywheel.tracking import Tracking

UNDECIDED = frozenset({"None", "Staging"})


class MlflowRegistry:
    """One MLflow server, as svc-controller. Every call may be repeated."""

    def __init__(self, tracking: Tracking) -> None:
        self._tracking = tracking

    def stages(self, usecase: str, versions: Iterable[str]) -> dict[str, str]:
        """Return the stage of each of these versions of a use case; what does not exist is left out.

        One call a version: those that are asked for are few, and a model may have thousands.
        """
        found = {}
        for version in versions:
            try:
                found[version] = self._tracking.version(usecase, version).stage
            except RefusedError as fault:
                if fault.code != "RESOURCE_DOES_NOT_EXIST":
                    raise
        return found

    def undecided(self, usecase: str) -> str | None:
        """Return the newest version of a use case, unless somebody has put it into Production or archived it."""
        newest = next(iter(self._tracking.versions(usecase)), None)
        return newest.version if newest is not None and newest.stage in UNDECIDED else None

    def set_alias(self, usecase: str, alias: str, version: str | None) -> None:
        """Point an alias at a version, or remove it; nothing happens when it is so already."""
        if self._tracking.alias(usecase, alias) == version:
            return
        if version is None:
            self._tracking.delete_alias(usecase, alias)
        else:
            self._tracking.set_alias(usecase, alias, version)

    def archive(self, served: Served, reason: str) -> None:
        """Move a version to Archived unless it has left Production; the reason stands in the rollout's own event."""
        del reason  # MLflow's transition takes no comment
        if self.stages(served.usecase, [served.version]).get(served.version) == PRODUCTION:
            self._tracking.archive(served.usecase, served.version)

    def go_back(self, served: Served, reason: str) -> None:
        """Bring a former champion back to Production, as `flywheel rollback` does; RefusedError where it cannot be."""
        if self.stages(served.usecase, [served.version]).get(served.version) != PRODUCTION:
            name = quote(served.usecase, safe="")
            self._tracking.rest.own("POST", f"rollback/{name}", to=served.version, reason=reason)

    def download(self, usecase: str, version: str, folder: Path) -> Path:
        """Copy a version's model folder to `folder`, which must not exist yet, as MLflow's own client would."""
        found = self._tracking.download(usecase, version, folder)
        add_meta(found, usecase, version)
        return found

    def signature(self, usecase: str, version: str) -> str | None:
        """Return the bundle that the registry signed a version with; None when it has none."""
        return self._tracking.signature(usecase, version)
