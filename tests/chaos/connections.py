"""Ten thousand open connections and slow clients, through Envoy and straight to an agent: memory stays bounded.

Most have sent half a request and drip; some ask again and again for the largest answer there is and never read one.
"""

import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from deploy.local.places import Places, program_name
from flywheel.connections import endpoints
from flywheel.open_files import raise_limit
from tests.chaos.memory import Peaks
from tests.chaos.progress import Shown
from tests.chaos.report import Report
from tests.chaos.world import load, settled_accounts
from tests.deploy.shop import Shop

AGENT_MB, GATEWAY_MB = 400, 1500
DEAF = 100
ACCEPT_SECONDS = 20.0
# The kernel holds this much for a deaf client each way: it would hold megabytes, and be what fills up.
DEAF_BYTES = 1 << 14
# Opened a second: many, but no flood, which is another thing than many slow clients.
PACE = 1000


@dataclass(frozen=True)
class Door:
    """Where connections are held: the program, its address, what its paths begin with, what it may weigh in MB."""

    name: str
    url: str
    prefix: str
    bound: int


def run(shop: Shop, *, wanted: int, seconds: float) -> Report:
    """Hold connections that have sent half a request, for so many seconds each way, and ask on others meanwhile."""
    report = Report("connections", wanted)
    raise_limit(wanted + 500)
    place = next(iter(Places(shop.settings.root / "run" / "serving.json").read().values()))
    agent = f"http://127.0.0.1:{place.agents[0].http}"
    first = program_name("agent", place.served, place.agents[0].number)
    doors = (
        Door("gateway", endpoints(shop.settings).gateway_url, f"/{shop.name}", GATEWAY_MB),
        Door(first, agent, "", AGENT_MB),
    )
    report.done = min([_hold(report, shop, door, wanted, seconds) for door in doors])
    return report


def _hold(report: Report, shop: Shop, door: Door, wanted: int, seconds: float) -> int:
    """Return how many connections the door held at once."""
    with ExitStack() as held, Peaks(shop.settings) as peaks, load(shop) as clients:
        with Shown(f"connections to {door.name}", wanted, clients.answers) as shown:
            opened = open_slowly(held, door.url, wanted, _half(shop, door))
            taken = _accepted(door.url, wanted)
            deaf = open_slowly(held, door.url, DEAF, b"", buffer=DEAF_BYTES)
            full, unsent, until = 0, dict[socket.socket, bytes](), time.monotonic() + seconds
            while time.monotonic() < until:
                drip(opened)
                full = shout(deaf, _page(shop, door), unsent)
                shown.tell(taken)
        left = established(door.url)
    kind = door.name.split("-")[0]
    peak = peaks.megabytes.get(kind, 0)
    told = {"open": taken, "open_at_the_end": left, "deaf": full, "memory_mb": peak, "bound_mb": door.bound}
    report.figures[kind] = told
    report.peaks_mb[kind] = max(report.peaks_mb.get(kind, 0), peak)
    report.expect(0 < peak <= door.bound, f"{door.name} weighs {peak} MB with {taken} connections")
    report.expect(full == DEAF, f"only {full} of {DEAF} clients that never read were held up")
    report.expect_all_answered(clients.answers)
    report.expect_all_recorded(clients.answers, *settled_accounts(shop, clients.answers))
    return taken


def _accepted(url: str, wanted: int) -> int:
    """Wait until a server has accepted so many connections, or has had its time; return how many it has."""
    until = time.monotonic() + ACCEPT_SECONDS
    while (taken := established(url)) < wanted and time.monotonic() < until:
        time.sleep(0.2)
    return min(taken, wanted)


def _half(shop: Shop, door: Door) -> bytes:
    """Return a request that is let in, and whose body does not come."""
    lines = [f"POST {door.prefix}/invocations HTTP/1.1", "content-type: application/json", "content-length: 500"]
    return _head(lines, shop) + b"{"


def _page(shop: Shop, door: Door) -> bytes:
    """Return a request for a large answer."""
    return _head([f"GET {door.prefix}/openapi.json HTTP/1.1"], shop)


def _head(lines: list[str], shop: Shop) -> bytes:
    shown = [f"{name}: {value}" for name, value in ({"host": "x"} | shop.headers).items()]
    return ("\r\n".join([*lines, *shown]) + "\r\n\r\n").encode()


def established(url: str) -> int:
    """Count the connections that a server on this machine has accepted, by its side of them."""
    port = f"{urlsplit(url).port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    # A socket without an inode waits in the listener's queue: nobody has accepted it.
    return sum(one[1].endswith(f":{port}") and one[3] == "01" and one[9] != "0" for one in lines)


def open_slowly(held: ExitStack, url: str, count: int, first: bytes, buffer: int | None = None) -> list[socket.socket]:
    """Open connections and send the first bytes on each; stop at the first that is refused."""
    host, port = urlsplit(url).hostname or "127.0.0.1", urlsplit(url).port or 80
    opened = []
    for number in range(count):
        # One address has 28,000 outgoing ports; all of 127.0.0.0/8 is this machine.
        connected = socket.socket()
        held.enter_context(connected)
        connected.settimeout(10)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF) if buffer is not None else ():
            connected.setsockopt(socket.SOL_SOCKET, option, buffer or 0)
        connected.bind((f"127.0.0.{2 + number % 50}", 0))
        try:
            connected.connect((host, port))
            connected.sendall(first)
        except OSError:
            break
        opened.append(connected)
        if not len(opened) % (PACE // 10):
            time.sleep(0.1)
    return opened


def drip(opened: list[socket.socket]) -> None:
    """Send one more byte on some connections, as slow clients do."""
    for connected in opened[::100]:
        try:
            connected.sendall(b" ")
        except OSError:  # the server has had enough of it, which is its right
            continue
    time.sleep(0.2)


def shout(deaf: list[socket.socket], page: bytes, unsent: dict[socket.socket, bytes]) -> int:
    """Ask on; return on how many connections nothing is taken any more: what the server holds for them is bounded.

    Args:
        deaf: Connections whose answers nobody reads.
        page: A whole request.
        unsent: What is left of the requests that were begun; changed.
    """
    full = 0
    for connected in deaf:
        connected.setblocking(False)
        rest = unsent.get(connected) or page * 100
        try:
            unsent[connected] = rest[connected.send(rest) :]
        except OSError:  # the buffers on the way are full, or the server has had enough of it, which is its right
            full += 1
    return full
