"""What a request touches: reading, or one of the areas in which it changes something. By method and path alone.

Roles say in which areas somebody may change things at all, service tokens are scoped by them. Who may do what inside
an area, MLflow's permissions and the gate decide. A change that is not known here counts as the administrator's.
"""

import re
from enum import StrEnum


class Area(StrEnum):
    """A part of the server, as roles and scopes name it."""

    READ = "read"  # changes nothing
    TRACKING = "tracking"  # experiments, runs, traces, logged models, artifacts
    REGISTRY = "registry"  # registered models and versions, but not their stages
    REVIEW = "review"  # stages, and everything of the registry's own: reviews, gates, policy
    ADMIN = "admin"  # accounts, MLflow's roles, webhooks, the gateway's secrets
    OWN = "own"  # who the caller is, their password and tokens; no scope, since a token may not make others


SCOPES = (Area.READ, Area.TRACKING, Area.REGISTRY, Area.REVIEW, Area.ADMIN)
READING = frozenset({"GET", "HEAD", "OPTIONS"})
_MLFLOW = r"/(?:ajax-)?api/\d\.\d/?mlflow"
# The first that fits decides. POSTs that only read come first: they carry a query too long for an address.
_RULES: tuple[tuple[re.Pattern[str], Area], ...] = tuple(
    (re.compile(pattern), area)
    for pattern, area in (
        (rf"(?:{_MLFLOW})?/graphql", Area.READ),
        (rf"{_MLFLOW}/(?:[a-z-]+/)+search(?:-datasets)?", Area.READ),
        (rf"{_MLFLOW}/registered-models/get-latest-versions", Area.READ),
        (rf"{_MLFLOW}/artifacts/presigned-download-url", Area.READ),
        (rf"{_MLFLOW}/traces/(?:batchGetInfos|calculate-filter-correlation|metrics)", Area.READ),
        (rf"{_MLFLOW}/ui-telemetry", Area.READ),
        (rf"{_MLFLOW}/users/update-password", Area.OWN),
        (rf"{_MLFLOW}/(?:users|roles|webhooks|workspaces|gateway)(?:/.*)?", Area.ADMIN),
        (rf"{_MLFLOW}/model-versions/transition-stage", Area.REVIEW),
        (rf"{_MLFLOW}/(?:registered-models|model-versions)/.*", Area.REGISTRY),
        (rf"{_MLFLOW}(?:-artifacts)?/.*", Area.TRACKING),
        (r"/(?:v1/traces|gateway/.*|ajax-api/3\.0/jobs(?:/.*)?)", Area.TRACKING),
        (r"/flywheel/api/tokens(?:/.*)?", Area.OWN),
        (r"/flywheel/.*", Area.REVIEW),
    )
)


def area_of(method: str, path: str) -> Area:
    """Return what a request touches; `path` is decoded and without the server's prefix."""
    if method in READING:
        return Area.READ
    return next((area for pattern, area in _RULES if pattern.fullmatch(path)), Area.ADMIN)
