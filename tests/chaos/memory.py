"""What programs of a stack weigh, and the most that each kind weighed while somebody watched."""

import resource
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

from flywheel.settings import Settings
from flywheel.stack.processes import living

PERIOD_SECONDS = 2.0
KINDS = ("agent", "scorer", "shipper", "gateway", "doorman")


class Peaks:
    """A thread that looks now and then; a context. `megabytes` holds the peak of one program by its kind."""

    def __init__(self, settings: Settings) -> None:
        self._home = settings.root
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.megabytes: dict[str, int] = {}

    def __enter__(self) -> "Peaks":
        self._thread.start()
        return self

    def __exit__(self, *fault: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(PERIOD_SECONDS):
            for name, weight in weights(self._home).items():
                kind = name.split("-")[0]
                if kind in KINDS:
                    self.megabytes[kind] = max(self.megabytes.get(kind, 0), weight)


def weights(home: Path) -> dict[str, int]:
    """Return the resident memory of each program that runs, with its children, in MB."""
    pages = Counter[str]()
    for entry in living(home):
        with suppress(OSError):  # ended meanwhile
            pages[entry.name] += int(Path(f"/proc/{entry.pid}/statm").read_text().split()[1])
    return {name: count * resource.getpagesize() >> 20 for name, count in pages.items()}
