"""The paths of MLflow's own scoring server, answered here: /invocations, /ping, /health and /version."""

import orjson

from deploy.agent.caller import answer_headers, read_caller
from deploy.agent.dataplane import DataPlane, Row
from deploy.agent.health import Health
from deploy.agent.http import Request, Response
from deploy.agent.limits import Limits
from deploy.agent.rest.forms import parse_rows
from deploy.agent.rest.route import Route, Routes, check_media_type
from deploy.agent.rest.tables import CsvReader
from deploy.agent.signature import Signature

JSON, CSV = b"application/json", b"text/csv"


class MlflowPaths:
    """What a client of `mlflow models serve` finds."""

    def __init__(self, dataplane: DataPlane, health: Health, limits: Limits, signature: Signature) -> None:
        self._dataplane = dataplane
        self._signature = signature
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
        media_type = check_media_type(request.headers, JSON, CSV)
        caller = read_caller(request.headers, request.trace, version=self._dataplane.identity.version)
        answer = await self._dataplane.predict(self._rows(media_type, request.body), caller)
        return Response(200, orjson.dumps({"predictions": answer.predictions}), headers=answer_headers(answer, caller))

    def _rows(self, media_type: bytes, body: bytes) -> list[Row]:
        if media_type == CSV:
            return self._csv.rows(body, self._max_rows)
        return parse_rows(body, self._max_rows, self._signature.check_params)

    async def _ping(self, request: Request) -> Response:
        ready = self._health.ready
        return Response(200 if ready else 503, orjson.dumps({"ready": ready}))

    async def _version(self, request: Request) -> Response:
        """Answer as MLflow does, with its version as text; who accepts JSON by name gets what is served.

        MLflow's client takes whatever the body is for the version, so only a bare one is right for it. It and curl
        send `accept: */*`, which names no JSON; what reads JSON can say so.
        """
        if JSON not in request.headers.get(b"accept", b""):
            return Response(200, self._signature.mlflow_version.encode(), b"text/plain; charset=utf-8")
        identity = self._dataplane.identity
        named = {"use_case": identity.use_case, "version": identity.version, "digest": identity.digest}
        told = {"mlflow_version": self._signature.mlflow_version, "ready": self._health.ready}
        return Response(200, orjson.dumps(named | told))
