"""The agent's HTTP application: finds a request's route, answers faults in its form, counts what was answered."""

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from deploy.agent.batching import FULL
from deploy.agent.caller import counted_arm
from deploy.agent.dataplane import DataPlane
from deploy.agent.docs.paths import DocsPaths
from deploy.agent.feedback import OutcomeSink
from deploy.agent.health import Health
from deploy.agent.http import Request, Response
from deploy.agent.limits import Limits
from deploy.agent.refusal import RefusalError
from deploy.agent.rest.feedback_path import FeedbackPath
from deploy.agent.rest.invocations import MlflowPaths
from deploy.agent.rest.route import Route, Routes, refused
from deploy.agent.rest.v2 import V2Paths, refused_v2
from deploy.agent.signature import Signature
from deploy.agent.telemetry.access_log import AccessLog
from deploy.agent.telemetry.metrics import Metrics

if TYPE_CHECKING:  # OpenTelemetry is not loaded in an agent without a collector
    from deploy.agent.telemetry.tracing import Tracing

SMALL_BODY = 1 << 12
METRICS_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

PREDICTING = frozenset({"mlflow", "v2"})  # feedback waits in no queue

log = structlog.get_logger()


class Paths:
    """The application of one agent.

    Args:
        dataplane: Predicts.
        health: Whether traffic is welcome.
        limits: Of bodies and rows.
        metrics: Where requests are counted; without, the application keeps counts of its own.
        signature: What the package is to MLflow.
        outcomes: Where feedback goes; without, there is no such path.
        docs: Whether the schema is shown, at /openapi.json and /docs.
        tracing: Makes spans of sampled requests; without, there are none.
    """

    def __init__(
        self,
        dataplane: DataPlane,
        health: Health,
        limits: Limits,
        *,
        metrics: Metrics | None = None,
        signature: Signature | None = None,
        outcomes: OutcomeSink | None = None,
        docs: bool = True,
        tracing: "Tracing | None" = None,
    ) -> None:
        identity = dataplane.identity
        self._limits = limits
        self._full: dict[tuple[str, int], Response] = {}
        self._dataplane = dataplane
        self._tracing = tracing
        self._metrics = metrics or Metrics(identity.use_case, identity.version)
        self._access_log = AccessLog(identity.use_case, identity.version)
        self._routes: Routes = {
            **MlflowPaths(dataplane, health, limits, signature or Signature()).routes(),
            **V2Paths(dataplane, health, limits).routes(),
            "/metrics": Route("GET", self._page),
        }
        if outcomes is not None:
            self._routes |= FeedbackPath(dataplane.contract, outcomes, limits).routes()
        if docs:
            schema = DocsPaths(
                identity, dataplane.contract, feedback=outcomes is not None, open_ended=limits.ignore_unknown
            )
            self._routes |= schema.routes()

    def body_limit(self, method: str, path: str) -> int:
        """Return how many bytes a body may have."""
        return self._limits.body_bytes if method == "POST" else SMALL_BODY

    def turned_away(self, method: str, path: str) -> Response | None:
        """Return the refusal of a prediction while the queue is full."""
        route = self._routes.get(path)
        return None if route is None or method != route.method else self._refusal_while_full(route)

    def _refusal_while_full(self, route: Route) -> Response | None:
        batcher = self._dataplane.batcher
        if route.protocol not in PREDICTING or not batcher.is_full:
            return None
        key = route.protocol, max(1, math.ceil(batcher.wait_seconds))
        if key not in self._full:  # made once: under overload this is most of the work
            self._full[key] = route.refuse(RefusalError("busy", FULL, retry_after=key[1]))
        self._metrics.turned_away(route.protocol, self._full[key].status, "busy")
        return self._full[key]

    def too_large(self, limit: int) -> Response:
        """Return the answer to a body of more than `limit` bytes."""
        message = f"The body is larger than {limit} bytes. Send the rows in several requests."
        return refused(RefusalError("size", message))

    def malformed(self, reason: str) -> Response:
        """Return the answer to what is no HTTP request."""
        return refused(RefusalError("http", reason))

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        route = self._routes.get(request.path)
        if route is None:
            return self._nothing_there(request.path)
        if request.method != route.method:
            return _other_method(route, request.path)
        if (full := self._refusal_while_full(route)) is not None:
            return full  # the queue has filled since the head was read: before the work of parsing
        trace = None
        if self._tracing is not None and route.protocol is not None:
            trace = self._tracing.request(request.headers, request.method, request.path)
        if trace is None:
            return await self._answer(route, request)
        with trace:
            return await self._answer(route, replace(request, trace=trace))

    async def _answer(self, route: Route, request: Request) -> Response:
        began = time.perf_counter()
        rule = None
        try:
            response = await route.handler(request)
        except RefusalError as refusal:
            response, rule = route.refuse(refusal), refusal.rule
        except Exception:  # the process's edge: the log gets the trace, the client a sentence
            log.exception("unexpected fault", path=request.path)
            response, rule = route.refuse(RefusalError("scorer", "The agent failed unexpectedly. Try again.")), "scorer"
        if route.protocol is not None:
            self._tell(route.protocol, request, response.status, rule=rule, seconds=time.perf_counter() - began)
        return response

    def _tell(self, protocol: str, request: Request, status: int, *, rule: str | None, seconds: float) -> None:
        arm, trace = counted_arm(request.headers), request.trace
        self._metrics.answered(protocol, arm, status, seconds)
        if rule is not None:
            self._metrics.refused(protocol, rule)
        if trace is not None:
            trace.answered(status, arm, rule, {"http.response.status_code": status})
        self._access_log.answered(request.headers, protocol, status, arm=arm, rule=rule, seconds=seconds, trace=trace)

    def _nothing_there(self, path: str) -> Response:
        if path.startswith("/v2/"):
            return refused_v2(RefusalError("path", "There is no such path, model or version here."))
        return refused(RefusalError("path", f"There is nothing here. Use one of: {', '.join(self._routes)}."))

    async def _page(self, request: Request) -> Response:
        return Response(200, self._metrics.page(), METRICS_TYPE)


def _other_method(route: Route, path: str) -> Response:
    response = route.refuse(RefusalError("method", f"{path} takes {route.method}."))
    allow = (b"allow", route.method.encode())
    return Response(response.status, response.body, headers=(*response.headers, allow))
