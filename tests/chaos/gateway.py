"""kill -9 of Envoy itself, the one process in a prediction's path that nothing stands in for.

What is promised then is less: requests in flight break, new ones are refused until the supervisor has started it again
(about a second), and the last half second of its access log is lost. So a client may see a broken connection, but
never a wrong answer, and every answer it got has exactly one record.
"""

import os
import signal
import time
from contextlib import suppress

import polars as pl

from flywheel.stack.supervisor import program_states
from flywheel.storage import PredictionLog
from tests.chaos.load import Answers
from tests.chaos.memory import Peaks
from tests.chaos.progress import Shown
from tests.chaos.report import Report
from tests.chaos.world import load, strange
from tests.deploy.conftest import wait_for
from tests.deploy.shop import Shop

# 503: the clusters of a fresh Envoy have no healthy host until its first check.
REFUSED = (0, 404, 503)


def run(shop: Shop, *, kills: int) -> Report:
    """Kill Envoy `kills` times under load, each time once answers flow again."""
    report = Report("gateway", kills)
    with load(shop) as clients, Peaks(shop.settings) as peaks, Shown("gateway", kills, clients.answers) as shown:
        while report.done < kills:
            _await_answers(clients.answers)
            if pid := program_states(shop.settings)["gateway"].pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    report.done += 1
            shown.tell(report.done)
        _await_answers(clients.answers)
    codes = clients.answers.codes
    report.peaks_mb = peaks.megabytes
    # Refused or broken off, as announced: these are no failures here, and are shown.
    report.figures |= {"refused": sum(codes[code] for code in REFUSED)}
    report.note(clients.answers)
    report.failed = codes.total() - codes[200] - report.figures["refused"]
    report.expect(not report.failed, f"clients were answered {dict(codes)}")
    _expect_records(report, shop, clients.answers)
    return report


def _await_answers(answers: Answers) -> None:
    before = len(answers.answered)
    wait_for(lambda: len(answers.answered) > before + 50, "answers through Envoy")


def _expect_records(report: Report, shop: Shop, answers: Answers) -> None:
    """Every answer has one record by its id alone: the access log has lost lines with Envoy."""
    log, until = PredictionLog(shop.settings.root / "log"), time.monotonic() + 120
    while True:
        records = log.predictions(shop.name).filter(pl.col("request_id").is_in(list(answers.statuses)))
        scored = records.filter(pl.col("status") == "scored")
        report.lost = len(answers.answered - set(scored["request_id"]))
        if not report.lost or time.monotonic() > until:
            break
        time.sleep(0.5)
    keys = scored.select("request_id", "attempt", "row")
    report.doubled = keys.height - keys.unique().height
    report.expect(strange(records) == 0, "records hold what another request asked")
