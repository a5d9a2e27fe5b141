"""The practical limit: one ASGI function, no framework, one request a call, nothing checked, nothing recorded.

uvicorn benchmarks.peers.raw_asgi:app --loop uvloop --http httptools --no-access-log
"""

from typing import Any

import orjson

from benchmarks.peers.scoring import Scoring

scoring = Scoring()


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer one request."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    answer = b"{}"
    if scope["path"] == "/invocations":
        answer = orjson.dumps({"predictions": scoring.predict(orjson.loads(body)["dataframe_records"])})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
