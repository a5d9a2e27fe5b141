"""SIGTERM to one agent after the other, under load: each answers what it was asked before it ends, and comes back."""

import os
import random
import signal
import time

from flywheel.stack.supervisor import program_states
from tests.chaos.kills import sound_agents
from tests.chaos.memory import Peaks
from tests.chaos.progress import Shown
from tests.chaos.report import Report
from tests.chaos.world import load, settled_accounts
from tests.deploy.shop import Shop


def run(shop: Shop, *, drains: int, seconds: float, seed: int) -> Report:
    """End an agent in good order while another one answers, until `drains` were ended or `seconds` have passed."""
    report, until = Report("drains", drains), time.monotonic() + seconds
    chance = random.Random(seed)  # noqa: S311  # which agent is next is no secret
    with load(shop) as clients, Peaks(shop.settings) as peaks, Shown("drains", drains, clients.answers) as shown:
        while report.done < drains and time.monotonic() < until:
            sound = sound_agents(shop)
            pid = program_states(shop.settings)[chance.choice(sound)].pid if len(sound) > 1 else None
            if pid:
                os.kill(pid, signal.SIGTERM)
                report.done += 1
                shown.tell(report.done)
            time.sleep(0.05)
    report.peaks_mb = peaks.megabytes
    report.expect_all_answered(clients.answers, shop.settings.root / "logs" / "gateway.jsonl")
    report.expect_all_recorded(clients.answers, *settled_accounts(shop, clients.answers))
    return report
