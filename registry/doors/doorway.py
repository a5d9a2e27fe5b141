"""What never gets as far as the login: requests that a page of another origin made a browser send, and odd paths.

A browser adds the reviewer's login to whatever a page asks of this server, so a page elsewhere could approve in the
reviewer's name. MLflow refuses foreign origins, but trusts every page on the server's own machine, whatever its port.
"""

import os
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
DELETE_CHARACTER = "\x7f"


class Doorway:
    """ASGI middleware, the outermost one; it judges by headers and path alone."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 400 to a path with control characters and 403 to a foreign page's change; pass everything else on."""
        refused = _refused(scope) if scope["type"] == "http" else None
        await (refused or self.app)(scope, receive, send)


def _refused(scope: Scope) -> JSONResponse | None:
    # Routers disagree about a newline at the end, so that two parts of the server would see two paths.
    if any(letter < " " or letter == DELETE_CHARACTER for letter in scope["path"]):
        message = "The path holds a control character. Leave it out."
        return JSONResponse({"error_code": "INVALID_PARAMETER_VALUE", "message": message}, 400)
    headers = Headers(scope=scope)
    origin = headers.get("origin")
    if scope["method"] in SAFE_METHODS or not origin or is_own(origin, headers.get("host", "")):
        return None
    message = f"A page of '{origin}' asked for this change. Make it on a page of this server, or by the API."
    return JSONResponse({"error_code": "PERMISSION_DENIED", "message": message}, 403)


def is_own(origin: str, host: str) -> bool:
    """Return whether a page of `origin` may ask for changes: the server's own, or named by MLflow's own setting."""
    named = os.environ.get("MLFLOW_SERVER_CORS_ALLOWED_ORIGINS", "")
    return (bool(host) and urlsplit(origin).netloc == host) or origin in {one.strip() for one in named.split(",")}
