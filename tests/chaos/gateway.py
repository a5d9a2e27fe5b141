"""kill -9 of Envoy itself, the one process without a second copy.

What is promised then is less: requests in flight break, new ones are refused until the supervisor has started it again
(about a second), and the last half second of its access log is lost. So a client may see a broken connection, but
never a wrong answer, and every answer it got has exactly one record.
"""

import os
import signal
import time
from contextlib import suppress

from flywheel.connections import endpoints
from flywheel.stack.probes import healthy
from flywheel.stack.supervisor import program_states
from flywheel.storage import PredictionLog
from tests.chaos.load import Answers
from tests.chaos.report import Report
from tests.chaos.world import load
from tests.deploy.conftest import wait_for
from tests.deploy.shop import Shop

# 503: the clusters of a fresh Envoy have no healthy host until its first check.
ALLOWED = {0, 200, 404, 503}


def run(shop: Shop, *, kills: int) -> Report:
    """Kill Envoy `kills` times under load, each time once it has answered again."""
    report, url = Report("gateway"), endpoints(shop.settings).envoy_admin_url
    with load(shop) as clients:
        for _ in range(kills):
            answered = len(clients.answers.answered)
            wait_for(lambda seen=answered: len(clients.answers.answered) > seen + 50, "answers through Envoy")  # type: ignore[misc]
            if pid := program_states(shop.settings)["gateway"].pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            wait_for(lambda: healthy(f"{url}/ready") is None, "Envoy's return")
    report.figures |= {"killed": kills, "answers": {str(code): count for code, count in clients.answers.codes.items()}}
    strange = set(clients.answers.codes) - ALLOWED
    report.expect(not strange, f"clients were answered {strange}")
    report.expect(_records_are_whole(shop, clients.answers), "an answer has no record, or more than one")
    return report


def _records_are_whole(shop: Shop, answers: Answers) -> bool:
    log, until = PredictionLog(shop.settings.root / "log"), time.monotonic() + 120
    while time.monotonic() < until:
        records = log.predictions(shop.name)
        found = set(records["request_id"])
        if answers.answered <= found:
            keys = records.filter(records["status"] == "scored").select("request_id", "attempt", "row")
            return keys.height == keys.unique().height
        time.sleep(0.5)
    return False
