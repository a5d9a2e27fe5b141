"""Which requests are a use case's: by path over HTTP, by metadata or authority over gRPC."""

import re
from dataclasses import dataclass, replace
from typing import Any, Self

GRPC_PREFIX = "/inference.GRPCInferenceService/"
GRPC_USE_CASE = "flywheel-use-case"
# What of an agent can be reached from outside: named one by one, so that its metrics cannot.
AGENT_PATHS = r"(invocations|ping|version|health|feedback|openapi\.json|docs(/.*)?|v2(/.*)?)"
# MLflow's and V2's own paths, for clients that know a model server only by its address.
BARE_PATHS = r"/(invocations|ping|version|health|feedback|openapi\.json|docs(/.*)?|v2(/health/(live|ready))?)"


@dataclass(frozen=True)
class Where:
    """Requests that a route is for.

    Args:
        match: Envoy's matcher of them.
        rewrite: Pattern of what becomes `/` in the path; None: the path stays.
        grpc: They are gRPC's.
    """

    match: dict[str, Any]
    rewrite: str | None = None
    grpc: bool = False

    def having(self, *headers: dict[str, Any]) -> Self:
        """Return those of them whose headers match as well."""
        return replace(self, match={**self.match, "headers": [*self.match.get("headers", ()), *headers]})


def http_paths(usecase: str, *, sole: bool) -> list[Where]:
    """Return a use case's paths; bare ones too where it is the sole one."""
    name = re.escape(usecase)
    found = [_paths(f"/{name}/{AGENT_PATHS}", f"^/{name}/"), _paths(f"/v2/models/{name}(/.*)?")]
    return [*found, _paths(BARE_PATHS)] if sole else found


def version_paths(usecase: str, version: str = "") -> list[Where]:
    """Return V2's paths that name this version of a use case, or any version."""
    below = f"/v2/models/{usecase}/versions/{version}"
    kind = "path_separated_prefix" if version else "prefix"
    return [Where({kind: f"/{usecase}{below}"}, f"^/{re.escape(usecase)}/"), Where({kind: below})]


def grpc_calls(usecase: str, *, sole: bool) -> list[Where]:
    """Name the use case by header or by authority; who names none means the sole one."""
    base = Where({"prefix": GRPC_PREFIX, "grpc": {}}, grpc=True)
    unnamed = base.having({"name": GRPC_USE_CASE, "present_match": False})
    pattern = {"safe_regex": {"regex": f"{re.escape(usecase)}([.:].*)?"}}
    found = [
        base.having({"name": GRPC_USE_CASE, "string_match": {"exact": usecase}}),
        unnamed.having({"name": ":authority", "string_match": pattern}),
    ]
    return [*found, unnamed] if sole else found


def _paths(pattern: str, rewrite: str | None = None) -> Where:
    return Where({"safe_regex": {"regex": pattern}}, rewrite)
