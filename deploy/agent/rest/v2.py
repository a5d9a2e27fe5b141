"""The Open Inference Protocol (V2) over REST. The model's name is the use case, its version the registry's."""

import orjson

from deploy.agent.caller import answer_headers, read_caller
from deploy.agent.dataplane import Answer, DataPlane
from deploy.agent.health import Health
from deploy.agent.http import Request, Response
from deploy.agent.limits import Limits
from deploy.agent.refusal import RefusalError
from deploy.agent.rest.route import Handler, Route, Routes, check_media_type, refused
from deploy.agent.rest.v2_codec import InferRequest, read_request, write_answer
from deploy.agent.served_model import ServedModel
from deploy.agent.tensors import Tensor, TensorReader

LENGTH_HEADER = b"inference-header-content-length"
MEDIA_TYPES = (b"application/json", b"application/octet-stream")


class V2Paths:
    """Answers clients of the Open Inference Protocol."""

    def __init__(self, dataplane: DataPlane, health: Health, limits: Limits) -> None:
        self._dataplane = dataplane
        self._health = health
        self._model = ServedModel(dataplane.identity, dataplane.contract)
        self._reader = TensorReader(dataplane.contract, limits.request_rows)

    def routes(self) -> Routes:
        """Return the paths; each path of the model exists with and without its version."""
        identity = self._dataplane.identity
        routes = {
            "/v2": _get(self._server),
            "/v2/health/live": _get(self._live),
            "/v2/health/ready": _get(self._ready),
        }
        bare = f"/v2/models/{identity.use_case}"
        for model in (bare, f"{bare}/versions/{identity.version}"):
            routes[model] = _get(self._metadata)
            routes[f"{model}/ready"] = _get(self._ready)
            routes[f"{model}/infer"] = Route("POST", self._infer, "v2", refused_v2)
        return routes

    async def _server(self, request: Request) -> Response:
        return Response(200, orjson.dumps(self._model.server()))

    async def _live(self, request: Request) -> Response:
        return Response(200, orjson.dumps({"live": True}))

    async def _ready(self, request: Request) -> Response:
        ready = self._health.ready
        named = {"name": self._dataplane.identity.use_case} if "/models/" in request.path else {}
        return Response(200 if ready else 503, orjson.dumps(named | {"ready": ready}))

    async def _metadata(self, request: Request) -> Response:
        return Response(200, orjson.dumps(self._model.metadata()))

    async def _infer(self, request: Request) -> Response:
        check_media_type(request.headers, *MEDIA_TYPES)
        asked = read_request(request.body, request.headers.get(LENGTH_HEADER))
        self._model.check_outputs(None if asked.outputs is None else [output.name for output in asked.outputs])
        caller = read_caller(request.headers, request.trace, version=self._dataplane.identity.version)
        answer = await self._dataplane.predict(self._reader.rows(asked.tensors), caller)
        return self._answer(asked, answer, answer_headers(answer, caller))

    def _answer(self, asked: InferRequest, answer: Answer, headers: tuple[tuple[bytes, bytes], ...]) -> Response:
        identity = self._dataplane.identity
        document = {"model_name": identity.use_case, "model_version": identity.version}
        if asked.id is not None:
            document["id"] = asked.id
        tensors: list[tuple[Tensor, bool]]
        if asked.outputs is None:
            tensors = [(tensor, asked.binary) for tensor in self._model.tensors(answer, None)]
        else:
            named = self._model.tensors(answer, [output.name for output in asked.outputs])
            tensors = [(tensor, output.binary) for tensor, output in zip(named, asked.outputs, strict=True)]
        body, header_length = write_answer(document, tensors)
        if header_length is None:
            return Response(200, body, headers=headers)
        length = (LENGTH_HEADER, str(header_length).encode())
        return Response(200, body, b"application/octet-stream", (*headers, length))


def refused_v2(refusal: RefusalError) -> Response:
    """Return the protocol's answer to a refused request: `{"error": sentence}`."""
    plain = refused(refusal)
    return Response(plain.status, orjson.dumps({"error": refusal.sentence}), headers=plain.headers)


def _get(handler: Handler) -> Route:
    return Route("GET", handler, None, refused_v2)
