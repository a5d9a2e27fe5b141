"""What may break while a rollout is under way: Envoy, the only canary, a champion's replica, Postgres, MLflow.

Each is broken once the canary has its first traffic. The rollout must end as it does when nothing breaks, and no
request may fail, but for those that were in flight in an Envoy that was killed: there is one of it.
"""

import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from flywheel.events import EventKind
from flywheel.settings import Settings
from flywheel.stack.supervisor import program_states
from tests.chaos.outages import frozen
from tests.chaos.report import Report
from tests.chaos.transitions import Way, live, played
from tests.deploy.shop import ROLLOUT, Shop

# Long enough at its step for what is broken to come back within it.
SLOWLY = {**ROLLOUT, "pause": "8s", "max_minutes": 20}
# So many answers may be missing when Envoy dies: the clients' connections, each with one request, and its restart.
ENVOY = "gateway"


@dataclass(frozen=True)
class Fault:
    """What is broken: its name, and how; `costs` says whether requests may fail by it."""

    name: str
    strike: Callable[[Shop, float], None]
    costs: bool = False


def kill_program(shop: Shop, beginning: str) -> None:
    """Kill the first program whose name begins so."""
    states = program_states(shop.settings)
    pid = next(states[name].pid for name in sorted(states) if name.startswith(beginning) and states[name].pid)
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


def freeze(shop: Shop, name: str, seconds: float) -> None:
    """Let a part of the stack stand still."""
    with frozen(shop, name) as count:
        if not count:
            raise RuntimeError(f"{name} does not run")
        time.sleep(seconds)


FAULTS = (
    Fault("Envoy", lambda shop, _: kill_program(shop, ENVOY), costs=True),
    Fault("the only canary", lambda shop, _: kill_program(shop, f"agent-{shop.name}-v2")),
    Fault("a champion's replica", lambda shop, _: kill_program(shop, f"agent-{shop.name}-v1")),
    Fault("Postgres", lambda shop, seconds: freeze(shop, "postgres", seconds)),
    Fault("MLflow", lambda shop, seconds: freeze(shop, "mlflow", seconds)),
)


def run(
    settings: Settings,
    folder: Path,
    *,
    seconds: float,
    faults: tuple[Fault, ...] = FAULTS,
    headers: Mapping[str, str] | None = None,
) -> Report:
    """Break each in a rollout of its own.

    Args:
        settings: Of a running stack.
        folder: For registries; empty.
        seconds: For which a part that is frozen stands still.
        faults: Which.
        headers: What clients show at the door.
    """
    report = Report("underway", len(faults))
    straight_way = _way(lambda shop: True)
    with live(settings, folder, straight_way, report, headers=headers) as shop:
        straight = played(shop, straight_way, [])
    for fault in faults:
        way, own = _way(_struck_by(fault, seconds)), Report(fault.name, 0)
        with live(settings, folder, way, own, headers=headers) as shop:
            end = played(shop, way, [])
        report.done += 1
        report.figures[fault.name] = {"failed": own.failed, **own.figures}
        report.expect(end == straight, f"{fault.name}: it ended as {end}, and undisturbed as {straight}")
        if not fault.costs:
            report.failed += own.failed
            report.broken += own.broken
    return report


def _way(meanwhile: Callable[[Shop], bool]) -> Way:
    return Way("underway", SLOWLY, lambda shop: shop.approve("2"), "2", meanwhile)


def _struck_by(fault: Fault, seconds: float) -> Callable[[Shop], bool]:
    def strike(shop: Shop) -> bool:
        if (EventKind.ROLLOUT_STEP, "done") not in shop.rollout("2"):
            return False
        fault.strike(shop, seconds)
        return True

    return strike
