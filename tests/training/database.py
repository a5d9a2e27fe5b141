"""A Postgres of a test's own that can be killed and started again; nothing else runs beside it."""

import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from flywheel.settings import Settings
from flywheel.stack import databases, postgres
from flywheel.stack.down import end_stack, erase
from flywheel.stack.ports import choose_ports

PATIENCE = 60  # seconds until it must answer


class Database:
    """Owns one cluster in a temporary home, between construction and `close`."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="flywheel-optuna-"))
        self._folder.chmod(0o755)
        self._settings = Settings(home=self._folder / "home")
        self._place = postgres.locate(self._settings)
        self._port = choose_ports(self._settings).postgres
        postgres.initialise(self._settings, self._place, "the-owner")
        self.url = postgres.owner_url(self._port, "the-owner").render_as_string(hide_password=False)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it and return when it answers."""
        program = postgres.program(self._place, self._port)
        self._process = subprocess.Popen(
            program.command, cwd="/", user=program.user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + PATIENCE
        while (reason := databases.answers(self.url)) is not None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"Postgres does not answer: {reason}")
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        """Return the number of its first process, whose children the others are."""
        assert self._process is not None
        return self._process.pid

    def stop(self, number: signal.Signals = signal.SIGQUIT) -> None:
        """End it at once, by default as a crash does: connections break, nothing is flushed in good order."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE)
            self._process = None

    def close(self) -> None:
        """End it and remove its files."""
        self.stop(signal.SIGINT)
        end_stack(self._settings)
        erase(self._settings)
        shutil.rmtree(self._folder, ignore_errors=True)
