"""kill -9 of each process in turn, under load.

A victim is killed only while a sound one of its kind stands beside it: the promise is that no prediction fails *while
one replica of the version lives*. What has no replica (shipper, controller, servers of the stack) is no part of a
prediction's path, and may be killed at any time.
"""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from deploy.local.places import Places, program_name
from deploy.local.upkeep import answers
from flywheel.connections import endpoints
from flywheel.stack.probes import healthy, request
from flywheel.stack.processes import living
from flywheel.stack.supervisor import program_states
from tests.chaos.report import Report
from tests.chaos.world import load, settled_accounts
from tests.deploy.shop import Shop

# Of a kill in each kind; the servers of the stack need up to 20 seconds to return, agents two.
WEIGHTS = {"agent": 60, "scorer": 5, "shipper": 20, "controller": 10, "server": 5}
SERVERS = ("objects", "mlflow", "registry", "postgres", "doorman")


@dataclass
class Killer:
    """Kills one process at a call, where that is fair."""

    shop: Shop
    seed: int
    killed: Counter[str] = field(default_factory=Counter)
    controller: "subprocess.Popen[bytes] | None" = None

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311  # which process dies next is no secret

    def kill_one(self) -> bool:
        """Kill a process of a kind that is drawn; False when none of it may die now."""
        kind = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if kind == "controller":
            return self._kill_controller()
        pids = self._candidates(kind)
        if not pids:
            return False
        name, pid = self._random.choice(pids)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.killed[kind if kind != "server" else name] += 1
        return True

    def _candidates(self, kind: str) -> list[tuple[str, int]]:
        states = program_states(self.shop.settings)
        if kind == "agent":
            sound = self._sound_agents()
            return [(name, pid) for name in sound if len(sound) > 1 and (pid := states[name].pid)]
        if kind == "scorer":
            named = {name for name in states if name.startswith(f"scorer-{self.shop.name}")}
            if len(named) < 2 or any(healthy(f"{url}/ping") for url in worker_urls(self.shop)):
                return []
            return [(entry.name, entry.pid) for entry in living(self.shop.settings.root) if entry.name in named]
        wanted = ("shipper",) if kind == "shipper" else SERVERS
        return [
            (name, one.pid) for name, one in states.items() if one.pid and name in wanted and one.state == "RUNNING"
        ]

    def _sound_agents(self) -> list[str]:
        """Name the agents that answer by their own word and by the gateway's, which hears of a death a second later."""
        _, page = request("GET", f"{endpoints(self.shop.settings).envoy_admin_url}/clusters")
        known = {
            int(line.split("::")[1].rpartition(":")[2])
            for line in page.decode().splitlines()
            if line.startswith(f"{self.shop.name}-v1::") and line.endswith("::health_flags::healthy")
        }
        place = next(iter(Places(self.shop.settings.root / "run" / "serving.json").read().values()))
        sound = [one for one in place.agents if one.http in known and answers(one)]
        return [program_name("agent", place.served, one.number) for one in sound]

    def _kill_controller(self) -> bool:
        if self.controller is not None:
            self.controller.kill()
            self.controller.wait()
        self.controller = self.shop.controller()
        self.killed["controller"] += 1
        return True


def worker_urls(shop: Shop) -> list[str]:
    """Return where the version's workers listen."""
    places = Places(shop.settings.root / "run" / "serving.json").read()
    return [f"http://127.0.0.1:{one.port}" for place in places.values() for one in place.workers]


def run(shop: Shop, *, kills: int, seconds: float, seed: int) -> Report:
    """Kill until `kills` processes died or `seconds` have passed; then account for every answer."""
    report, killer, until = Report("kills"), Killer(shop, seed), time.monotonic() + seconds
    with load(shop) as clients:
        while killer.killed.total() < kills and time.monotonic() < until:
            if not killer.kill_one():
                time.sleep(0.05)
        if killer.controller is not None:
            killer.controller.kill()
            killer.controller.wait()
    report.figures |= {"wanted": kills, "killed": killer.killed.total(), "by_kind": dict(killer.killed)}
    report.expect_all_answered(clients.answers, shop.settings.root / "logs" / "gateway.jsonl")
    report.expect_all_recorded(clients.answers, settled_accounts(shop, clients.answers))
    return report
