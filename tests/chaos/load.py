"""Clients that ask through the gateway at a steady rate, and remember every answer by its request id.

The model answers one of its inputs, and that input is made from the request's id: so an answer, and later a record,
shows whether it belongs to its request.
"""

import http.client
import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.deploy.conftest import row

TIMEOUT_SECONDS = 60.0
WRONG = -1  # answered with 200, and with what another request asked
CLIENTS = 4
RATE = 80.0


@dataclass
class Answers:
    """What clients got: status by request id; 0: the connection broke or nobody answered."""

    statuses: dict[str, int] = field(default_factory=dict)
    bodies: dict[str, str] = field(default_factory=dict)
    worst_seconds: float = 0.0

    @property
    def codes(self) -> Counter[int]:
        """How often each status came."""
        return Counter(self.statuses.copy().values())

    @property
    def failed(self) -> dict[str, int]:
        """Requests that were not answered with 200 and what they asked for."""
        return {name: status for name, status in self.statuses.copy().items() if status != 200}

    @property
    def answered(self) -> set[str]:
        """Ids of the requests that were answered with 200."""
        return {name for name, status in self.statuses.copy().items() if status == 200}


class Load:
    """Threads that each keep one connection to `url`; a context.

    Args:
        url: Of the gateway.
        path: Of the use case's predictions.
        headers: Sent with each request.
        echoed: Whether answers hold what was asked.
        rate: Requests a second of all threads together; less where answers take longer.
    """

    def __init__(
        self, url: str, path: str, headers: Mapping[str, str], *, echoed: bool = True, rate: float = RATE
    ) -> None:
        self._address, self._path, self._headers = urlsplit(url).netloc, path, dict(headers)
        self._echoed, self._period = echoed, CLIENTS / rate
        self.answers = Answers()
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(CLIENTS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *fault: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        connection, spent = http.client.HTTPConnection(self._address, timeout=TIMEOUT_SECONDS), 0.0
        while not self._done.wait(max(self._period - spent, 0)):
            name, began = str(uuid.uuid4()), time.monotonic()
            try:
                self.answers.statuses[name] = self._ask(connection, name)
            except (OSError, http.client.HTTPException) as fault:
                self.answers.statuses[name] = 0
                self.answers.bodies[name] = repr(fault)
                connection.close()
            spent = time.monotonic() - began
            self.answers.worst_seconds = max(self.answers.worst_seconds, spent)
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, name: str) -> int:
        body = json.dumps({"dataframe_records": [row(chance=chance_of(name))]})
        headers = {"content-type": "application/json", "x-request-id": name}
        connection.request("POST", self._path, body, {**headers, **self._headers})
        response = connection.getresponse()
        said, status = response.read(), response.status
        if status == 200 and self._echoed and json.loads(said) != {"predictions": [{"probability": chance_of(name)}]}:
            status = WRONG
        if status != 200:
            self.answers.bodies[name] = said.decode(errors="replace")[:300]
        return status


def chance_of(name: str) -> float:
    """Return the input, from 0 to 1, of the request with this id."""
    return uuid.UUID(name).int % 1_000_003 / 1_000_003
