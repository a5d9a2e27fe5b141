"""GET /openapi.json and GET /docs. Both are made once: what they say does not change while the agent lives."""

import orjson

from deploy.agent.docs.openapi import document
from deploy.agent.docs.page import page
from deploy.agent.http import Request, Response
from deploy.agent.recording import Identity
from deploy.agent.rest.route import Route, Routes
from flywheel.contract import Contract

# Nothing is loaded, from here or elsewhere, and nothing runs.
POLICY = (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")


class DocsPaths:
    """The only place where the whole schema is shown."""

    def __init__(self, identity: Identity, contract: Contract, *, feedback: bool, open_ended: bool) -> None:
        self._document = orjson.dumps(document(identity, contract, feedback=feedback, open_ended=open_ended))
        self._page = page(identity, contract, feedback=feedback).encode()

    def routes(self) -> Routes:
        """Return the paths."""
        return {"/openapi.json": Route("GET", self._openapi), "/docs": Route("GET", self._docs)}

    async def _openapi(self, request: Request) -> Response:
        return Response(200, self._document)

    async def _docs(self, request: Request) -> Response:
        return Response(200, self._page, b"text/html; charset=utf-8", (POLICY,))
