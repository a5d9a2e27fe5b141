"""Parts that stop for a while: object store, Postgres, MLflow. They are frozen, which is nastier than being gone.

A frozen server still accepts connections and answers nothing, so whoever leans on it in a prediction's path shows.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from flywheel.stack.processes import living
from tests.chaos.memory import Peaks
from tests.chaos.progress import Shown
from tests.chaos.report import Report
from tests.chaos.world import load, settled_accounts
from tests.deploy.shop import Shop

PARTS = ("objects", "postgres", "mlflow")


def run(shop: Shop, *, seconds: float) -> Report:
    """Freeze each part in turn for `seconds` under load, then account for every answer."""
    report, answered = Report("outages", len(PARTS)), dict[str, int]()
    with load(shop) as clients, Peaks(shop.settings) as peaks, Shown("outages", len(PARTS), clients.answers) as shown:
        for name in PARTS:
            before = len(clients.answers.answered)
            with frozen(shop, name) as count:
                until = time.monotonic() + seconds
                while time.monotonic() < until:
                    time.sleep(1)
                    shown.tell(len(answered))
            answered[name] = len(clients.answers.answered) - before
            report.expect(count > 0, f"{name} does not run")
            # Clients ask 80 times a second; were one in two held up, half of that would be missing.
            report.expect(answered[name] > 40 * seconds, f"only {answered[name]} answers while {name} stood still")
    report.done, report.peaks_mb = len(answered), peaks.megabytes
    report.figures |= {"seconds_each": seconds, "answered": answered}
    report.expect_all_answered(clients.answers, shop.settings.root / "logs" / "gateway.jsonl")
    report.expect_all_recorded(clients.answers, *settled_accounts(shop, clients.answers))
    return report


@contextmanager
def frozen(shop: Shop, name: str) -> Iterator[int]:
    """Stop a part of the stack and its children; yields how many processes these are."""
    stopped = _signal(shop, name, signal.SIGSTOP)
    try:
        yield stopped
    finally:
        _signal(shop, name, signal.SIGCONT)


def _signal(shop: Shop, name: str, number: signal.Signals) -> int:
    pids = [entry.pid for entry in living(shop.settings.root) if entry.name == name]
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
    return len(pids)
