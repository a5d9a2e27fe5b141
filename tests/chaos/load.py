"""Clients that ask through the gateway without a pause, and remember every answer by its request id."""

import http.client
import json
import threading
import uuid
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.deploy.conftest import row

PAUSE_SECONDS = 0.005
TIMEOUT_SECONDS = 60.0


@dataclass
class Answers:
    """What clients got: status by request id; 0: the connection broke or nobody answered."""

    statuses: dict[str, int] = field(default_factory=dict)
    bodies: dict[str, str] = field(default_factory=dict)

    @property
    def codes(self) -> Counter[int]:
        """How often each status came."""
        return Counter(self.statuses.copy().values())

    @property
    def failed(self) -> dict[str, int]:
        """Requests that were not answered with 200."""
        return {name: status for name, status in self.statuses.copy().items() if status != 200}

    @property
    def answered(self) -> set[str]:
        """Ids of the requests that were answered with 200."""
        return {name for name, status in self.statuses.copy().items() if status == 200}


class Load:
    """Threads that each keep one connection to `url`; a context."""

    def __init__(self, url: str, path: str, clients: int = 4) -> None:
        self._address, self._path = urlsplit(url).netloc, path
        self.answers = Answers()
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *fault: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=TIMEOUT_SECONDS)
        while not self._done.wait(PAUSE_SECONDS):
            name = str(uuid.uuid4())
            try:
                self.answers.statuses[name] = self._ask(connection, name)
            except (OSError, http.client.HTTPException) as fault:
                self.answers.statuses[name] = 0
                self.answers.bodies[name] = repr(fault)
                connection.close()
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, name: str) -> int:
        body = json.dumps({"dataframe_records": [row()]})
        headers = {"content-type": "application/json", "x-request-id": name}
        connection.request("POST", self._path, body, headers)
        response = connection.getresponse()
        said = response.read()
        if response.status != 200:
            self.answers.bodies[name] = said.decode(errors="replace")[:300]
        return response.status
