"""A controller and a client under measurement: two processes, ended by their ids, and the trail that tells of them."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from flywheel import events
from flywheel.connections import endpoints
from flywheel.events import Event, EventKind
from tests.deploy.conftest import ENVIRONMENT, ROOT
from tests.deploy.shop import Shop

POLL_SECONDS = 0.1
END_SECONDS = 30.0
Answers = dict[str, npt.NDArray[np.float64]]


class Run:
    """What is under measurement."""

    def __init__(self, shop: Shop, rate: float) -> None:
        self._shop, self._rate = shop, rate
        self._file = shop.registry / "answers.npz"
        self._client: subprocess.Popen[bytes] | None = None
        home = {"FLYWHEEL_HOME": str(shop.settings.root), "TINY_REGISTRY": str(shop.registry)}
        self._controller = self._start("benchmarks.rollout_controller", environment=home)

    def load(self) -> None:
        """Let the client ask from now on.

        Raises:
            RuntimeError: It does not begin.
        """
        port = urlsplit(endpoints(self._shop.settings).gateway_url).port
        words = (str(port), f"/{self._shop.name}/invocations", str(self._rate), str(self._file))
        self._client = self._start("benchmarks.rollout_load", *words)
        until = time.monotonic() + END_SECONDS
        while not self._file.with_suffix(".began").exists():
            if time.monotonic() > until or self._client.poll() is not None:
                raise RuntimeError(f"the client does not begin: {self.log()}")
            time.sleep(POLL_SECONDS)

    def end_load(self) -> Answers:
        """End the client; return what it was answered.

        Raises:
            RuntimeError: It did not end well.
        """
        client, self._client = self._client, None
        if client is None or client.poll() is not None:
            raise RuntimeError(f"the client ended by itself: {self.log()}")
        client.send_signal(signal.SIGTERM)
        client.wait(END_SECONDS)
        with np.load(self._file) as found:
            return {name: np.asarray(found[name], dtype=np.float64) for name in found.files}

    def wait(
        self, version: str, wanted: Set[tuple[EventKind, str | None]], seconds: float
    ) -> tuple[EventKind, str | None]:
        """Wait until a version's rollout has one of these events; return it.

        Raises:
            RuntimeError: It did not come in time.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until and self._controller.poll() is None:
            for one in self._shop.rollout(version):
                if one in wanted:
                    return one
            time.sleep(POLL_SECONDS)
        raise RuntimeError(f"version {version} has not come to its end: {self.log()}")

    def events(self) -> list[Event]:
        """Return the trail."""
        with self._shop.engine.connect() as connection:
            return list(events.read(connection))

    def log(self) -> str:
        """Return the end of what the processes said."""
        return (self._shop.registry / "processes.log").read_text()[-1500:]

    def end(self) -> None:
        """End both processes."""
        for process in (self._client, self._controller):
            if process is not None:
                with suppress(ProcessLookupError):
                    process.kill()
                process.wait(END_SECONDS)

    def _start(self, module: str, *words: str, environment: dict[str, str] | None = None) -> "subprocess.Popen[bytes]":
        with Path(self._shop.registry / "processes.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module, *words],
                env={**ENVIRONMENT, **(environment or {})},
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )


@contextmanager
def running(shop: Shop, rate: float) -> Iterator[Run]:
    """Yield a run whose controller is at work."""
    run = Run(shop, rate)
    try:
        yield run
    finally:
        run.end()
