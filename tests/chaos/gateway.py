"""kill -9 of Envoy and of its doorman, which have no second copy.

What is promised then is less: requests in flight break, new ones are refused until the supervisor has started it again
(about a second), and the last half second of its access log is lost. So a client may see a broken connection, but
never a wrong answer, and every answer it got has exactly one record. For a doorman requests wait ten seconds, so that
nobody sees its death where it is back by then.
"""

import os
import signal
import time
from collections import Counter
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
PROGRAMS = ("gateway", "doorman")


def run(shop: Shop, *, kills: int) -> Report:
    """Kill Envoy and the doorman in turn, `kills` times in all, under load, each time once answers flow again."""
    report, killed = Report("gateway", kills), Counter[str]()
    with load(shop) as clients, Peaks(shop.settings) as peaks, Shown("gateway", kills, clients.answers) as shown:
        while killed.total() < kills:
            _await_answers(clients.answers)
            name = PROGRAMS[killed.total() % len(PROGRAMS)]
            if pid := program_states(shop.settings)[name].pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed[name] += 1
            shown.tell(killed.total())
        _await_answers(clients.answers)
    codes = clients.answers.codes
    report.done, report.peaks_mb = killed.total(), peaks.megabytes
    # Refused or broken off, as announced: these are no failures here, and are shown.
    report.figures |= {"by_kind": dict(killed), "refused": sum(codes[code] for code in REFUSED)}
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
