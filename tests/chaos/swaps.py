"""Promotions and rollbacks under load, again and again: no request may fail, none may go unrecorded."""

import time

from tests.chaos.memory import Peaks
from tests.chaos.progress import Shown
from tests.chaos.report import Report
from tests.chaos.world import deploy, load, settled_accounts
from tests.deploy.shop import Shop


def run(shop: Shop, *, swaps: int, seconds: float) -> Report:
    """Promote version 2 through its canary and go back to version 1, `swaps` times or until time is up."""
    name = "swaps" if shop.real else "swaps-tiny"
    report, until = Report(name, 2 * swaps), time.monotonic() + seconds
    with load(shop) as clients, Peaks(shop.settings) as peaks, Shown(name, 2 * swaps, clients.answers) as shown:
        while report.done < 2 * swaps and time.monotonic() < until:
            shop.approve("2")
            deploy(shop)
            shop.go_back("1", "2")
            deploy(shop)
            report.done += 2
            shown.tell(report.done)
    report.peaks_mb = peaks.megabytes
    report.figures |= {"promotions": report.done // 2, "rollbacks": report.done // 2}
    report.expect_all_answered(clients.answers, shop.settings.root / "logs" / "gateway.jsonl")
    if shop.real:  # tiny versions write no records
        report.expect_all_recorded(clients.answers, *settled_accounts(shop, clients.answers))
    return report
