"""Ten thousand open connections and slow clients, through Envoy and straight to an agent: memory stays bounded."""

import resource
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from deploy.local.places import Places
from flywheel.connections import endpoints
from flywheel.stack.processes import living
from tests.chaos.report import Report
from tests.chaos.world import load
from tests.deploy.shop import Shop

AGENT_MB, GATEWAY_MB = 400, 1500
HALF = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"


def run(shop: Shop, *, wanted: int) -> Report:
    """Hold connections that have sent half a request, and ask on others meanwhile."""
    report = Report("connections")
    allowed = raise_limit(wanted + 500) - 500
    place = next(iter(Places(shop.settings.root / "run" / "serving.json").read().values()))
    agent = f"http://127.0.0.1:{place.agents[0].http}"
    for name, url, bound in (
        ("gateway", endpoints(shop.settings).gateway_url, GATEWAY_MB),
        (f"agent-{shop.name}-v1", agent, AGENT_MB),
    ):
        with ExitStack() as held:
            opened = open_slowly(held, url, min(wanted, allowed))
            with load(shop) as clients:
                until = time.monotonic() + 5
                while time.monotonic() < until:
                    drip(opened)
            memory = memory_mb(shop, name)
        report.figures[name.split("-")[0]] = {"open": len(opened), "memory_mb": memory, "bound_mb": bound}
        report.expect(len(opened) >= min(wanted, allowed), f"{name} took only {len(opened)} connections")
        report.expect(memory <= bound, f"{name} weighs {memory} MB with {len(opened)} connections")
        report.expect_all_answered(clients.answers)
    return report


def raise_limit(wanted: int) -> int:
    """Raise this process's limit of open files as far as it goes; return what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
    return max(soft, limit)


def open_slowly(held: ExitStack, url: str, count: int) -> list[socket.socket]:
    """Open connections and send half a request on each; stop at the first that is refused."""
    host, port = urlsplit(url).hostname or "127.0.0.1", urlsplit(url).port or 80
    opened = []
    for number in range(count):
        # One address has 28,000 outgoing ports; all of 127.0.0.0/8 is this machine.
        connected = socket.socket()
        held.enter_context(connected)
        connected.settimeout(10)
        connected.bind((f"127.0.0.{2 + number % 50}", 0))
        try:
            connected.connect((host, port))
            connected.sendall(HALF)
        except OSError:
            break
        opened.append(connected)
    return opened


def drip(opened: list[socket.socket]) -> None:
    """Send one more byte on some connections, as slow clients do."""
    for connected in opened[::100]:
        try:
            connected.sendall(b" ")
        except OSError:  # the server has had enough of it, which is its right
            continue
    time.sleep(0.2)


def memory_mb(shop: Shop, name: str) -> int:
    """Return the resident memory of a program in MB."""
    pids = [entry.pid for entry in living(shop.settings.root) if entry.name == name]
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * resource.getpagesize() >> 20
