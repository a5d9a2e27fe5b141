"""Promotions and rollbacks under load, again and again: no request may fail, none may go unrecorded."""

import time

from tests.chaos.report import Report
from tests.chaos.world import deploy, load
from tests.deploy.shop import Shop


def run(shop: Shop, *, swaps: int, seconds: float) -> Report:
    """Promote version 2 through its canary and go back to version 1, `swaps` times or until time is up."""
    report, until, done = Report("swaps"), time.monotonic() + seconds, 0
    with load(shop) as clients:
        while done < swaps and time.monotonic() < until:
            shop.approve("2")
            deploy(shop)
            shop.go_back("1", "2")
            deploy(shop)
            done += 1
    report.figures |= {"wanted": swaps, "promotions": done, "rollbacks": done}
    report.expect(done > 0, "no swap was done in the time given")
    report.expect_all_answered(clients.answers, shop.settings.root / "logs" / "gateway.jsonl")
    return report
