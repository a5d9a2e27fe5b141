"""What traffic through a real gateway shows of splits, sticky callers, mirrors, retries, ejection and replicas."""

import http.cookies
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from deploy.gateway.traffic import Backend, Replica, Split
from tests.deploy.gateway.house import House, house, until
from tests.deploy.gateway.test_protocols import tls, trusting

COOKIE = "defaults: {sticky: {cookie: flywheel-caller, cookie_seconds: 600}}\n"
# Of a count's standard deviations: 1 run in 15 million is wrong by chance.
BOUND = 5.3


def assert_binomial(count: int, tries: int, share: float) -> None:
    deviation = math.sqrt(tries * share * (1 - share))
    assert abs(count - tries * share) <= BOUND * deviation, f"{count} of {tries} for {share:.0%}"


@dataclass
class Server:
    """A version's web server in this process: answers 200, or what `behave` says, and remembers its requests."""

    number: str
    status: int = 200
    seconds: float = 0.0
    seen: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def backend(self) -> Backend:
        return Backend("flights", self.number, (self.replica,))

    @property
    def replica(self) -> Replica:
        return Replica(self._server.server_address[1])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: ClassVar[Server]

    def do_GET(self) -> None:
        self._answer(200, b"ok")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.owner.seen.append({name.lower(): value for name, value in self.headers.items()})
        time.sleep(self.owner.seconds)
        self._answer(self.owner.status, json.dumps({"version": self.owner.number}).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def servers(*numbers: str) -> Iterator[list[Server]]:
    found = [Server(number) for number in numbers]
    try:
        yield found
    finally:
        for one in found:
            one.close()


@dataclass
class Client:
    """A client, and the cookies that it was given."""

    home: House
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(self, **headers: str) -> tuple[int, str]:
        """Return the status, and which version answered."""
        if self.cookies:
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        status, body, told = self.home.ask("/flights/invocations", b"{}", None, **headers)
        for line in told.get_all("set-cookie") or []:
            self.cookies |= {name: one.value for name, one in http.cookies.SimpleCookie(line).items()}
        return status, str(body.get("version", ""))


def test_weights_and_shares_of_mirrors_are_kept_within_binomial_bounds(tmp_path: Path) -> None:
    with house(tmp_path, "defaults: {mirror_percent: 25}\n") as home, servers("1", "2") as (old, new):
        client, tries = Client(home), 1500
        for percent in (5, 50):
            home.route(Split(old.backend, ((new.backend, percent),), "r"))
            before = _shadows(new)
            answered = Counter(client.ask() for _ in range(tries))
            assert set(answered) == {(200, "1"), (200, "2")}
            assert_binomial(answered[(200, "2")], tries, percent / 100)
            until(lambda: home.admin.counts()[f"{new.backend.cluster}-shadow"].active == 0)
            assert_binomial(_shadows(new) - before, tries, _mirrored(percent))


def _mirrored(percent: int) -> float:
    return 0.25 * (1 - percent / 100)


def _shadows(server: Server) -> int:
    return sum(one["x-flywheel-arm"] == "shadow" for one in server.seen)


def test_only_the_champions_requests_are_mirrored_and_each_once(tmp_path: Path) -> None:
    with house(tmp_path, "defaults: {mirror_percent: 100}\n") as home, servers("1", "2") as (old, new):
        home.route(Split(old.backend, ((new.backend, 40),), "r"))
        client, tries = Client(home), 300
        answered = Counter(client.ask(x_request_id=f"r-{number}")[1] for number in range(tries))
        until(lambda: _shadows(new) >= answered["1"], 10)
        ids = {arm: [one["x-request-id"] for one in new.seen if one["x-flywheel-arm"] == arm] for arm in _ARMS}
        champions = [one["x-request-id"] for one in old.seen]
        assert sorted(ids["shadow"]) == sorted(champions)
        assert set(ids["shadow"]).isdisjoint(ids["challenger"])
        assert (len(champions), len(ids["challenger"])) == (answered["1"], answered["2"])
        assert {one["x-flywheel-arm"] for one in old.seen} == {"champion"}


_ARMS = ("champion", "challenger", "shadow")


def test_a_caller_by_cookie_stays_and_only_the_needed_share_moves_when_weights_grow(tmp_path: Path) -> None:
    with house(tmp_path, COOKIE) as home, servers("1", "2") as (old, new):
        home.route(Split(old.backend, ((new.backend, 10),), "r"))
        callers = [Client(home) for _ in range(400)]
        first = [one.ask()[1] for one in callers]
        assert all(set(one.cookies) == {"flywheel-caller"} for one in callers)
        assert len({one.cookies["flywheel-caller"] for one in callers}) == len(callers)
        for _ in range(3):
            assert [one.ask()[1] for one in callers] == first
        home.route(Split(old.backend, ((new.backend, 40),), "r"))
        second = [one.ask()[1] for one in callers]
        moves = Counter(zip(first, second, strict=True))
        assert moves[("2", "1")] == 0
        assert_binomial(second.count("2"), len(callers), 0.4)
        assert moves[("1", "2")] == second.count("2") - first.count("2")


def test_the_cookie_is_for_the_gateway_alone_and_given_once(tmp_path: Path) -> None:
    sections = f"{COOKIE}gateway:\n  {tls(tmp_path)}\n"
    with house(tmp_path, sections) as home, servers("1", "2") as (old, new):
        home.route(Split(old.backend, ((new.backend, 50),), "r"))
        context = trusting(tmp_path, "http/1.1")
        _, _, headers = home.ask(context=context)
        cookie = http.cookies.SimpleCookie(headers["set-cookie"])["flywheel-caller"]
        assert (cookie["path"], cookie["max-age"], cookie["samesite"]) == ("/", "600", "Lax")
        assert cookie["httponly"] and cookie["secure"]  # noqa: PT018  # two words for yes
        assert home.ask(context=context, cookie=f"flywheel-caller={cookie.value}")[2]["set-cookie"] is None
        assert home.ask(context=context, x_flywheel_unit="ada")[2]["set-cookie"] is None


def test_without_tls_a_cookie_is_not_marked_secure_since_it_would_never_come_back(tmp_path: Path) -> None:
    with house(tmp_path, COOKIE) as home, servers("1", "2") as (old, new):
        home.route(Split(old.backend, ((new.backend, 50),), "r"))
        cookie = http.cookies.SimpleCookie(home.ask()[2]["set-cookie"])["flywheel-caller"]
        assert cookie["httponly"]
        assert not cookie["secure"]


def test_what_failed_is_tried_elsewhere_under_the_same_id_and_an_answer_of_the_version_is_not(tmp_path: Path) -> None:
    with house(tmp_path, "{}") as home, servers("1", "2") as (old, new):
        new.status = 503
        home.route(Split(old.backend, ((new.backend, 99),), "r"))
        client = Client(home)
        assert {client.ask(x_request_id=f"r-{number}") for number in range(4)} == {(200, "1")}
        first = {one["x-request-id"]: one for one in new.seen}
        again = {one["x-request-id"]: one for one in old.seen if one["x-request-id"] in first}
        assert again
        for number, one in again.items():
            attempts = first[number]["x-envoy-attempt-count"], one["x-envoy-attempt-count"]
            assert attempts == ("1", "2")
            assert one["x-flywheel-arm"] == "challenger"
        for status in (422, 429, 500):
            new.status, before = status, len(old.seen) + len(new.seen)
            asked = [client.ask(x_flywheel_unit="v") for _ in range(3)]
            assert len(old.seen) + len(new.seen) == before + len(asked), status


def test_a_host_that_fails_in_a_row_is_left_out_and_comes_back(tmp_path: Path) -> None:
    with house(tmp_path, "{}") as home, servers("1", "1") as (good, bad):
        backend = Backend("flights", "1", (good.replica, bad.replica))
        home.route(Split(backend))
        client, bad.status = Client(home), 503
        until(lambda: client.ask()[0] == 200 and _ejected(home, bad), 20)
        until(lambda: _passed_by(client, bad), 30)
        bad.status = 200
        before = len(bad.seen)
        until(lambda: client.ask()[0] == 200 and len(bad.seen) > before, 30)
        assert not _ejected(home, bad)


def _passed_by(client: Client, server: Server) -> bool:
    """Ask so often that an idle host would be drawn, but in one of a million rounds."""
    before = len(server.seen)
    return {client.ask()[0] for _ in range(20)} == {200} and len(server.seen) == before


def _ejected(home: House, server: Server) -> bool:
    return home.health(server.replica.http) == "failed_outlier_check"


def test_the_least_busy_replica_is_asked(tmp_path: Path) -> None:
    with house(tmp_path, "{}") as home, servers("1", "1") as (quick, slow):
        home.route(Split(Backend("flights", "1", (quick.replica, slow.replica))))
        slow.seconds = 0.2
        answered = ask_at_once(home, clients=8, each=60)
        assert set(answered) == {200}
        # Of two drawn with repetition the less busy one is taken, so the slow one gets a bit over a quarter, not half.
        assert len(slow.seen) < 0.4 * len(quick.seen + slow.seen)


def test_a_replica_that_dies_under_load_loses_no_request(tmp_path: Path) -> None:
    with house(tmp_path, "{}") as home:
        first, second = home.version("1"), home.version("1")
        both = replace(first, replicas=first.replicas + second.replicas)
        home.route(Split(both))
        victim = home.processes[-1]
        killer = threading.Timer(0.5, victim.kill)
        killer.start()
        answered = ask_at_once(home, clients=8, seconds=2.5)
        killer.join()
        assert victim.wait(10) != 0
        assert set(answered) == {200}
        assert sum(answered.values()) > 50
        until(lambda: home.health(second.replicas[0].http) != "healthy")


def ask_at_once(home: House, *, clients: int, each: int = 1 << 30, seconds: float = 60.0) -> Counter[int]:
    """Have several clients ask one after the other, each on its own connection; return the statuses."""
    found, until_then = Counter[int](), time.monotonic() + seconds

    def run() -> None:
        client, mine = Client(home), Counter[int]()
        while mine.total() < each and time.monotonic() < until_then:
            mine[client.ask()[0]] += 1
        found.update(mine)

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
