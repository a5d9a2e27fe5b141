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
from deploy.local.startup import ping
from flywheel.connections import endpoints
from flywheel.stack.probes import healthy, request
from flywheel.stack.processes import living, started_ticks
from flywheel.stack.supervisor import program_states
from tests.chaos.memory import Peaks
from tests.chaos.progress import Shown
from tests.chaos.report import Report
from tests.chaos.world import load, settled_accounts
from tests.deploy.conftest import wait_for
from tests.deploy.shop import Shop

# Of 20 kills; workers and the servers of the stack need up to 20 seconds to return, agents two.
WEIGHTS = {"agent": 12, "shipper": 4, "controller": 2, "scorer": 1, "server": 1}
SERVERS = ("objects", "mlflow", "registry", "postgres", "exporter")
WORKER_PROCESSES = 2
# Within which a controller dies: it starts, reads the trail, and asks of everything how it is.
CONTROLLER_SECONDS = (0.5, 3.0)
# A shipper is left so long: two seconds pass before it ships at all, and at which line it dies is the point.
SHIPPER_SECONDS = (0.5, 6.0)


@dataclass
class Killer:
    """Kills one process at a call, where that is fair."""

    shop: Shop
    seed: int
    killed: Counter[str] = field(default_factory=Counter)
    controller: "subprocess.Popen[bytes] | None" = None

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311  # which process dies next is no secret
        self._deck = list[str]()
        self._controller_dies = 0.0
        self._shipper_lives = 0.0

    def kill_one(self) -> bool:
        """Kill one process of the next kind of which one may die now; False when there is none.

        Kinds come as from a deck of cards, so that each has its share also where it must wait for its turn.
        """
        self._kill_controller()
        if len(self._deck) < sum(WEIGHTS.values()):
            fresh = [kind for kind, count in WEIGHTS.items() for _ in range(count)]
            self._deck += self._random.sample(fresh, len(fresh))
        for kind in dict.fromkeys(self._deck):
            if self._start_controller() if kind == "controller" else self._kill(kind):
                self._deck.remove(kind)
                return True
        return False

    def _kill(self, kind: str) -> bool:
        pids = self._candidates(kind)
        if not pids:
            return False
        name, pid = self._random.choice(pids)
        self._shipper_lives = self._random.uniform(*SHIPPER_SECONDS) if kind == "shipper" else self._shipper_lives
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            # On a busy machine a killed process lives on for a moment, and what leans on it looks sound.
            wait_for(lambda: started_ticks(pid) is None, f"the end of {name}")
            self.killed[kind if kind != "server" else name] += 1
        return True

    def _candidates(self, kind: str) -> list[tuple[str, int]]:
        states = program_states(self.shop.settings)
        if kind == "agent":
            sound = sound_agents(self.shop)
            return [(name, pid) for name in sound if len(sound) > 1 and (pid := states[name].pid)]
        if kind == "scorer":
            return sound_workers(self.shop)
        wanted, lived = (("shipper",), self._shipper_lives) if kind == "shipper" else (SERVERS, 0.0)
        running = [(name, one.pid) for name, one in states.items() if one.pid and one.state == "RUNNING"]
        return [(name, pid) for name, pid in running if name in wanted and age_seconds(pid) >= lived]

    def _start_controller(self) -> bool:
        """Start a controller that will die wherever it is then, unless one runs already."""
        if self.controller is not None:
            return False
        self.controller = self.shop.controller()
        self._controller_dies = time.monotonic() + self._random.uniform(*CONTROLLER_SECONDS)
        return True

    def _kill_controller(self) -> None:
        """Kill the controller when its time has come; one that ended by itself is not counted."""
        if self.controller is None or time.monotonic() < self._controller_dies:
            return
        self.killed["controller"] += self.controller.poll() is None
        self.end()

    def end(self) -> None:
        """Leave no controller behind."""
        if self.controller is not None:
            self.controller.kill()
            self.controller.wait()
        self.controller = None


def sound_agents(shop: Shop) -> list[str]:
    """Name the agents that answer by their own word and by the gateway's, which hears of a death a second later."""
    _, page = request("GET", f"{endpoints(shop.settings).envoy_admin_url}/clusters")
    known = {
        int(line.split("::")[1].rpartition(":")[2])
        for line in page.decode().splitlines()
        if line.startswith(f"{shop.name}-v1::") and line.endswith("::health_flags::healthy")
    }
    place = next(iter(Places(shop.settings.root / "run" / "serving.json").read().values()))
    sound = [one for one in place.agents if one.http in known and ping(one) is None]
    return [program_name("agent", place.served, one.number) for one in sound]


def age_seconds(pid: int) -> float:
    """Return how long a process lives already; 0 when it has ended."""
    ticks = started_ticks(pid)
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    return 0.0 if ticks is None else now - ticks / os.sysconf("SC_CLK_TCK")


def sound_workers(shop: Shop) -> list[tuple[str, int]]:
    """Name each process of the workers when all of them are whole and answer; nothing otherwise.

    A worker is a parent and the child that answers: with its parent dead a child goes on for a moment, but is doomed.
    """
    named = [name for name in program_states(shop.settings) if name.startswith(f"scorer-{shop.name}")]
    found = [(entry.name, entry.pid) for entry in living(shop.settings.root) if entry.name in named]
    whole = all(sum(name == one for name, _ in found) >= WORKER_PROCESSES for one in named)
    answering = all(healthy(f"{url}/ping") is None for url in worker_urls(shop))
    return found if len(named) > 1 and whole and answering else []


def worker_urls(shop: Shop) -> list[str]:
    """Return where the version's workers listen."""
    places = Places(shop.settings.root / "run" / "serving.json").read()
    return [f"http://127.0.0.1:{one.port}" for place in places.values() for one in place.workers]


def run(shop: Shop, *, kills: int, seconds: float, seed: int) -> Report:
    """Kill until `kills` processes died or `seconds` have passed; then account for every answer."""
    report, killer, until = Report("kills", kills), Killer(shop, seed), time.monotonic() + seconds
    with load(shop) as clients, Peaks(shop.settings) as peaks, Shown("kills", kills, clients.answers) as shown:
        while killer.killed.total() < kills and time.monotonic() < until:
            if not killer.kill_one():
                time.sleep(0.05)
            shown.tell(killer.killed.total())
        killer.end()
    report.done, report.peaks_mb = killer.killed.total(), peaks.megabytes
    report.figures["by_kind"] = dict(killer.killed)
    report.expect_all_answered(clients.answers, shop.settings.root / "logs" / "gateway.jsonl")
    report.expect_all_recorded(clients.answers, *settled_accounts(shop, clients.answers))
    return report
