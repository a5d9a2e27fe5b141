"""A real Envoy among clients who are too many, too slow or too large: it holds no more, and answers others."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from deploy.gateway.traffic import Split
from flywheel.errors import SpecError
from flywheel.serving import LEAST_GATEWAY_MB, GatewayServing
from flywheel.settings import Settings
from flywheel.stack.gateway import check
from flywheel.stack.gateway_limits import most_connections
from flywheel.stack.ports import Ports
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
            # Where the asking before had a place when they came, that place is free by now: somebody takes it.
            with connected(home, 1):
                until(lambda: refused(home))  # another of Envoy's threads may take the asking before the one above
            assert still_looked_after(home)
        until(lambda: answered(home))


def refused(home: House) -> bool:
    """Ask once; say whether the connection was closed instead of answered."""
    try:
        home.ask()
    except (ConnectionError, http.client.HTTPException):
        return True
    return False


def still_looked_after(home: House) -> bool:
    readable = f"http://127.0.0.1:{home.ports.envoy_admin}"
    told, _ = request("GET", f"{readable}/stats/prometheus?filter=overload")
    return told == 200 and healthy(f"{readable}/ready") is None and home.admin.accepted().routes is not None


def test_more_connections_than_open_files_leave_are_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "serving.yaml").write_text("gateway: {connections: 1000000}\n")
    ports = Ports(postgres=1, s3=2, mlflow=3, gateway=4, envoy_admin=5)
    with pytest.raises(SpecError, match=r"serving.yaml: gateway.connections: 1,000,000 is more than .* open files"):
        check(Settings(home=tmp_path), ports)


@pytest.mark.parametrize(("files", "connections"), [(1_024, 256), (20_000, 15_000), (10_000, 5_000), (65_536, 15_000)])
def test_without_a_number_the_gateway_takes_as_many_connections_as_open_files_allow(
    monkeypatch: pytest.MonkeyPatch, files: int, connections: int
) -> None:
    monkeypatch.setattr("flywheel.stack.gateway_limits.most_files", lambda: files)
    assert most_connections(GatewayServing()) == connections


def test_a_client_that_never_asks_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flywheel.stack.gateway_limits.IDLE_SECONDS", 0.5)
    with house(tmp_path, "{}") as home, connected(home, 5) as clients:
        until(lambda: all(closed(one) for one in clients))


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


def test_clients_that_hold_all_memory_are_waited_for_no_longer_than_others_and_then_it_goes_on(
    tmp_path: Path,
) -> None:
    serving = f"defaults: {{body_bytes: 4000000}}\ngateway: {{memory_mb: {LEAST_GATEWAY_MB}, request_seconds: 4}}\n"
    with house(tmp_path, serving) as home, connected(home, 200) as clients:
        home.route(Split(home.version("1")))
        taken = 0
        for one in clients:  # all but the end of a body each: 600 MB
            taken += send_all(one, HEAD + b"x" * (ANNOUNCED - 1000))
            assert still_looked_after(home)
        assert taken < 100
        heap, resident = heap_and_resident_mb(home)
        assert heap < 1.5 * LEAST_GATEWAY_MB  # looked at ten times a second: what came since is there as well
        assert resident < 2 * LEAST_GATEWAY_MB
        until(lambda: answered(home))
        assert all(home.ask()[0] == 200 for _ in range(20))
