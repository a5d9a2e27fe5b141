"""A receiver of webhooks that verifies as MLflow's documentation tells receivers to, and answers as a test wants."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "a secret of the receiver"
Answer = Callable[[int], int]  # from how many came before to a status


@dataclass
class Got:
    """One request."""

    headers: dict[str, str]
    payload: bytes

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.payload)["data"]
        return found

    @property
    def seq(self) -> int:
        return int(self.data["seq"])

    @property
    def delivery(self) -> str:
        return self.headers["X-MLflow-Delivery-Id"]


@dataclass
class Receiver:
    """Listens on loopback from `start` to `stop`; what came is in `got`."""

    answer: Answer = lambda _: 204
    port: int = 0
    got: list[Got] = field(default_factory=list)

    def start(self) -> "Receiver":
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                payload = self.rfile.read(int(self.headers["Content-Length"]))
                before = len(receiver.got)
                receiver.got.append(Got(dict(self.headers), payload))
                status = receiver.answer(before)
                self.send_response(status)
                if status in {301, 302, 307, 308}:
                    self.send_header("Location", f"{receiver.url}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """Pass over who hung up."""

        self._server = Server(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def seqs(self) -> list[int]:
        return [got.seq for got in list(self.got)]


def verify_mlflow_signature(got: Got, secret: str, max_age: int = 300) -> bool:
    """Do what MLflow's webhook documentation has receivers do: signature, then age."""
    stamp = got.headers["X-MLflow-Timestamp"]
    signature = got.headers["X-MLflow-Signature"]
    if abs(time.time() - int(stamp)) > max_age or not signature.startswith("v1,"):
        return False
    signed = f"{got.delivery}.{stamp}.{got.payload.decode()}".encode()
    expected = base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
    return hmac.compare_digest(signature.removeprefix("v1,"), expected)
