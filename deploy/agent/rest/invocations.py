"""The paths of MLflow's own scoring server, answered here: /invocations, /ping, /health and /version."""

import orjson

from deploy.agent.caller import answer_headers, read_caller
from deploy.agent.dataplane import DataPlane
from deploy.agent.health import Health
from deploy.agent.http import Request, Response
from deploy.agent.limits import Limits
from deploy.agent.rest.forms import parse_rows
from deploy.agent.rest.route import Route, Routes, check_media_type
from deploy.agent.rest.tables import CsvReader

JSON, CSV = b"application/json", b"text/csv"


class MlflowPaths:
    """What a client of `mlflow models serve` finds."""

    def __init__(self, dataplane: DataPlane, health: Health, limits: Limits) -> None:
        self._dataplane = dataplane
        self._health = health
        self._max_rows = limits.request_rows
        self._csv = CsvReader(dataplane.contract)

    def routes(self) -> Routes:
        """Return the routes by path."""
        return {
            "/invocations": Route("POST", self._invocations, protocol="mlflow"),
            "/ping": Route("GET", self._ping),
            "/health": Route("GET", self._ping),
            "/version": Route("GET", self._version),
        }

    async def _invocations(self, request: Request) -> Response:
        media_type = check_media_type(request.headers.get(b"content-type"), JSON, CSV)
        caller = read_caller(request.headers)
        read = parse_rows if media_type == JSON else self._csv.rows
        answer = await self._dataplane.predict(read(request.body, self._max_rows), caller)
        return Response(200, orjson.dumps({"predictions": answer.predictions}), headers=answer_headers(answer, caller))

    async def _ping(self, request: Request) -> Response:
        ready = self._health.ready
        return Response(200 if ready else 503, orjson.dumps({"ready": ready}))

    async def _version(self, request: Request) -> Response:
        identity = self._dataplane.identity
        named = {"use_case": identity.use_case, "version": identity.version, "digest": identity.digest}
        return Response(200, orjson.dumps(named | {"ready": self._health.ready}))
