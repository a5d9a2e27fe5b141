"""Parts that stop for a while: object store, Postgres, MLflow. They are frozen, which is nastier than being gone.

A frozen server still accepts connections and answers nothing, so whoever leans on it in a prediction's path shows.
"""

import os
import signal
import time
from contextlib import suppress

from flywheel.stack.processes import living
from tests.chaos.report import Report
from tests.chaos.world import load, settled_accounts
from tests.deploy.shop import Shop

PARTS = ("objects", "postgres", "mlflow")


def run(shop: Shop, *, seconds: float) -> Report:
    """Freeze each part in turn for `seconds` under load, then account for every answer."""
    report, stopped = Report("outages"), list[str]()
    names = {entry.name for entry in living(shop.settings.root)}
    with load(shop) as clients:
        for name in [one for one in PARTS if one in names]:
            before = len(clients.answers.answered)
            _signal(shop, name, signal.SIGSTOP)
            try:
                time.sleep(seconds)
            finally:
                _signal(shop, name, signal.SIGCONT)
            stopped.append(name)
            report.expect(len(clients.answers.answered) > before, f"nothing was answered while {name} stood still")
    report.figures |= {"stopped": stopped, "seconds_each": seconds}
    report.expect(len(stopped) == len(PARTS), f"only {stopped} could be stopped")
    report.expect_all_answered(clients.answers, shop.settings.root / "logs" / "gateway.jsonl")
    report.expect_all_recorded(clients.answers, settled_accounts(shop, clients.answers))
    return report


def _signal(shop: Shop, name: str, number: signal.Signals) -> None:
    for entry in living(shop.settings.root):
        if entry.name == name:
            with suppress(ProcessLookupError):
                os.kill(entry.pid, number)
