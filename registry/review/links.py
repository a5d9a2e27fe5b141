"""MLflow's own pages, with two additions: the stage control is on at first sight, and versions link to their review."""

from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

SCRIPT = (Path(__file__).parent / "templates" / "mlflow_page.js").read_bytes()
PAGES = frozenset({"/", "/index.html"})


class ReviewLinks:
    """ASGI middleware that adds a script to MLflow's index.html; every other response passes untouched."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; hold the index page back until the script is in it."""
        if scope["type"] != "http" or scope["path"] not in PAGES:
            await self.app(scope, receive, send)
            return
        held: list[Message] = []

        async def edit(message: Message) -> None:
            held.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                for part in _with_script(held):
                    await send(part)

        await self.app(scope, receive, edit)


def _with_script(held: list[Message]) -> list[Message]:
    body = b"".join(message.get("body", b"") for message in held[1:])
    body = body.replace(b"</head>", b"<script>" + SCRIPT + b"</script></head>", 1)
    # The length changes, and a validator of the unedited page would let browsers keep it.
    kept = [(k, v) for k, v in held[0]["headers"] if k.lower() not in {b"content-length", b"etag", b"last-modified"}]
    start = {**held[0], "headers": [*kept, (b"content-length", str(len(body)).encode())]}
    return [start, {"type": "http.response.body", "body": body}]
