"""A real Envoy among clients who are too many, too slow or too large: it holds no more, and answers others."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from deploy.gateway.routes import Split
from flywheel.serving import LEAST_GATEWAY_MB
from flywheel.stack.probes import healthy, request
from tests.deploy.gateway.house import House, house, until

ANNOUNCED = 3 << 20
HEAD = f"POST /flights/invocations HTTP/1.1\r\nhost: x\r\ncontent-length: {ANNOUNCED}\r\n\r\n".encode()


@contextmanager
def connected(home: House, count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as held:
        address = ("127.0.0.1", home.ports.gateway)
        yield [held.enter_context(socket.create_connection(address, timeout=10)) for _ in range(count)]


def closed(one: socket.socket) -> bool:
    """Say whether the other side has ended the connection."""
    one.setblocking(False)
    try:
        return one.recv(1 << 16) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def send_all(one: socket.socket, content: bytes) -> bool:
    """Send it whole; say whether it was taken."""
    try:
        one.sendall(content)
    except OSError:
        return False
    return True


def heap_and_resident_mb(home: House) -> tuple[float, float]:
    envoy = next(one.pid for one in home.processes if "envoy" in str(one.args))
    allocated = home.statistic("server.memory_allocated")
    status = Path(f"/proc/{envoy}/status").read_text().splitlines()
    resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))  # in KB
    return allocated / 2**20, resident / 2**10


def test_connections_beyond_the_limit_are_closed_at_once_and_whoever_looks_after_it_still_gets_in(
    tmp_path: Path,
) -> None:
    with house(tmp_path, "gateway: {connections: 20}\n") as home:
        home.route(Split(home.version("1")))
        until(lambda: home.ask()[0] == 200)
        with connected(home, 30) as clients:
            until(lambda: sum(closed(one) for one in clients) >= 10)
            assert sum(closed(one) for one in clients) <= 11
            with pytest.raises((ConnectionError, http.client.HTTPException)):
                home.ask()
            readable = f"http://127.0.0.1:{home.ports.envoy_admin}"
            assert request("GET", f"{readable}/stats?filter=overflow")[0] == 200
            assert healthy(f"{readable}/ready") is None
            assert home.admin.accepted().routes is not None
        until(lambda: answered(home))


def answered(home: House) -> bool:
    try:
        return home.ask()[0] == 200
    except (OSError, http.client.HTTPException):
        return False


@pytest.mark.parametrize(
    "begun", [b"POST /flights/invocations HTTP/1.1\r\nhost: x\r\ncont", HEAD + b"{"], ids=["its head", "its body"]
)
def test_a_request_that_does_not_come_whole_in_time_is_refused(tmp_path: Path, begun: bytes) -> None:
    with house(tmp_path, "defaults: {body_bytes: 4000000}\ngateway: {request_seconds: 0.5}\n") as home:
        home.route(Split(home.version("1")))
        with connected(home, 1) as (slow,):
            slow.sendall(begun)
            answer = http.client.HTTPResponse(slow)
            answer.begin()
            assert answer.status == 408
            error = json.loads(answer.read())["error"]
            assert (error["rule"], "whole in time" in error["message"]) == ("deadline", True)
            until(lambda: closed(slow))
        assert home.ask()[0] == 200


def test_clients_that_hold_more_than_there_is_are_cut_off_and_others_answered(tmp_path: Path) -> None:
    serving = f"defaults: {{body_bytes: 4000000}}\ngateway: {{memory_mb: {LEAST_GATEWAY_MB}}}\n"
    with house(tmp_path, serving) as home, connected(home, 200) as clients:
        home.route(Split(home.version("1")))
        for one in clients:  # all but the end of a body each: 600 MB
            send_all(one, HEAD + b"x" * (ANNOUNCED - 1000))
        until(lambda: sum(closed(one) for one in clients) > 200 - LEAST_GATEWAY_MB / 3)
        until(lambda: answered(home))
        assert all(home.ask()[0] == 200 for _ in range(20))
        heap, resident = heap_and_resident_mb(home)
        assert heap < LEAST_GATEWAY_MB
        assert resident < 2 * LEAST_GATEWAY_MB
