"""A real Envoy before tiny real servers: what the routes promise, and what the gateway says of it."""

import asyncio
import http.client
import importlib.util
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from deploy.gateway.admin import Gateway
from deploy.gateway.arms import arm_counts
from deploy.gateway.clusters import cluster_document
from deploy.gateway.documents import write_document
from deploy.gateway.remembered import read_splits
from deploy.gateway.routes import route_document
from deploy.gateway.traffic import Backend, Replica, Split
from flywheel.errors import TransientError
from flywheel.settings import Settings
from flywheel.stack.gateway import admin_socket, admin_url, bootstrap
from flywheel.stack.ports import Ports, free_port

UPSTREAM = """
import asyncio, sys
from aiohttp import web
port, share = int(sys.argv[1]), float(sys.argv[2])
seen = 0
async def answer(request):
    global seen
    seen += 1
    if share and seen % round(1 / share) == 0:
        return web.json_response({"error": "scorer"}, status=503)
    return web.json_response({"port": port, "path": request.path, "headers": list(request.headers.items())})
async def ping(request):
    return web.Response(text="ok")
app = web.Application()
app.router.add_get("/ping", ping)
app.router.add_route("*", "/{rest:.*}", answer)
web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)
"""


@dataclass
class Site:
    """One Envoy and the versions behind it."""

    folder: Path
    ports: Ports
    gateway: Gateway
    upstreams: dict[str, subprocess.Popen[bytes]]
    backends: dict[str, Backend]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports.gateway}"

    def start(self, version: str, failing: float = 0.0) -> Backend:
        backend = self.backends.setdefault(version, Backend("flights", version, (Replica(free_port()),)))
        command = [sys.executable, "-c", UPSTREAM, str(backend.replicas[0].http), str(failing)]
        self.upstreams[version] = subprocess.Popen(command)
        return backend

    def route(self, split: Split) -> None:
        backends = list(self.backends.values())
        # What is routed still keeps its clusters: without them its requests would find none.
        routed = read_splits(self.folder / "rds.json").values()
        clusters, routes = cluster_document(backends, [*routed, split]), route_document([split])
        write_document(self.folder / "cds.json", clusters)
        names = {backend.cluster for backend in backends}
        until(lambda: self.gateway.accepted().clusters == clusters["version_info"])
        until(lambda: names <= self.gateway.healthy())
        write_document(self.folder / "rds.json", routes)
        until(lambda: self.gateway.accepted().routes == routes["version_info"])


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not become so in time"
        time.sleep(0.02)


@contextmanager
def running_site(folder: Path) -> Iterator[Site]:
    numbers: list[int] = []
    while len(numbers) < len(Ports.model_fields):
        numbers.append(free_port(set(numbers)))
    ports = Ports(**dict(zip(Ports.model_fields, numbers, strict=True)))
    settings = Settings(home=folder)
    dynamic = folder / "envoy" / "dynamic"
    (folder / "logs").mkdir(parents=True)
    admin_socket(settings).parent.mkdir(exist_ok=True)
    write_document(dynamic / "cds.json", cluster_document([], []))
    write_document(dynamic / "rds.json", route_document([]))
    (folder / "boot.json").write_text(json.dumps(bootstrap(settings, ports)))
    command = [str(envoy()), "-c", str(folder / "boot.json"), "--disable-hot-restart", "--concurrency", "1"]
    gateway = Gateway(admin_url(settings))
    process = subprocess.Popen([*command, "-l", "error"], stdin=subprocess.DEVNULL)
    site = Site(dynamic, ports, gateway, {}, {})
    try:
        until(lambda: answers(gateway))
        yield site
    finally:
        for one in [process, *site.upstreams.values()]:
            one.kill()
            one.wait()


def envoy() -> Path:
    spec = importlib.util.find_spec("envoy")
    assert spec is not None
    assert spec.origin is not None
    return next(path for path in Path(spec.origin).parent.rglob("envoy*") if path.is_file() and not path.suffix)


def answers(gateway: Gateway) -> bool:
    try:
        return gateway.accepted().routes is not None
    except TransientError:
        return False


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running_site(tmp_path) as found:
        yield found


def get(url: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, object]]:
    request = urllib.request.Request(url, headers=headers or {})  # noqa: S310 - our own server
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - our own server
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as fault:
        with fault:
            return fault.code, json.load(fault)


async def load(url: str, seconds: float, during: Callable[[], None]) -> tuple[Counter[int], Counter[int]]:
    """Send requests all the time while `during` runs in a thread; return codes, and ports that answered."""
    codes, ports, done = Counter[int](), Counter[int](), asyncio.Event()

    async def client(session: aiohttp.ClientSession) -> None:
        while not done.is_set():
            async with session.get(url) as answer:
                body = await answer.json()
                codes[answer.status] += 1
                ports[body.get("port", 0)] += 1

    async with aiohttp.ClientSession() as session:
        clients = [asyncio.create_task(client(session)) for _ in range(8)]
        await asyncio.gather(asyncio.to_thread(during), asyncio.sleep(seconds))
        done.set()
        await asyncio.gather(*clients)
    return codes, ports


def test_paths_are_rewritten_and_unknown_ones_get_a_sentence(site: Site) -> None:
    assert get(f"{site.url}/flights/invocations")[0] == 404
    site.route(Split(site.start("1")))
    code, body = get(f"{site.url}/flights/invocations")
    assert (code, body["path"]) == (200, "/invocations")
    assert get(f"{site.url}/invocations")[0] == 200
    code, body = get(f"{site.url}/nobody/invocations")
    assert code == 404
    sentence = "No use case answers at this path. Served here: /flights/invocations."
    assert body == {"error": {"field": None, "rule": "path", "message": sentence, "row": None}}
    assert get(f"{site.url}/nobody/v2/models/nobody/infer") == (404, {"error": sentence})


FORGED = ("x-flywheel-arm", "x-flywheel-rollout", "x-envoy-attempt-count")


def headers_at_the_agent(site: Site, path: str = "/flights/invocations") -> dict[str, list[str]]:
    """Send each header twice with values of a client's own, and return what arrives of them."""
    connection = http.client.HTTPConnection("127.0.0.1", site.ports.gateway)
    connection.putrequest("GET", path)
    for name in FORGED:
        for spelling in (name, name.title()):
            connection.putheader(spelling, "77")
    connection.endheaders()
    pairs = [(key.lower(), value) for key, value in json.load(connection.getresponse())["headers"]]
    connection.close()
    return {name: [value for key, value in pairs if key == name] for name in FORGED}


def test_outside_a_rollout_a_client_cannot_claim_an_arm_or_an_attempt(site: Site) -> None:
    site.route(Split(site.start("1")))
    for path in ("/flights/invocations", "/invocations"):
        assert headers_at_the_agent(site, path) == {
            "x-flywheel-arm": [],
            "x-flywheel-rollout": [],
            "x-envoy-attempt-count": ["1"],
        }


def test_inside_a_rollout_the_gateways_values_replace_a_clients(site: Site) -> None:
    champion, canary = site.start("1"), site.start("2")
    site.route(Split(champion, ((canary, 50),), "r"))
    seen = [headers_at_the_agent(site) for _ in range(30)]
    assert {arm for one in seen for arm in one["x-flywheel-arm"]} == {"champion", "challenger"}
    for one in seen:
        assert len(one["x-flywheel-arm"]) == 1
        assert one["x-flywheel-rollout"] == ["r"]
        assert one["x-envoy-attempt-count"] == ["1"]


def test_a_retry_keeps_the_arm_and_counts_the_attempt_itself(site: Site) -> None:
    champion, canary = site.start("1"), site.start("2", failing=1.0)
    site.route(Split(champion, ((canary, 99),), "r"))
    seen = [headers_at_the_agent(site) for _ in range(4)]
    retried = [one for one in seen if one["x-flywheel-arm"] == ["challenger"]]
    assert retried
    assert all(one["x-envoy-attempt-count"] == ["2"] for one in retried)


async def test_weight_changes_under_load_lose_nothing(site: Site) -> None:
    champion, canary = site.start("1"), site.start("2")
    site.route(Split(champion))

    def change() -> None:
        for percent in (10, 50):
            site.route(Split(champion, ((canary, percent),), "r"))
            time.sleep(0.5)
        site.route(Split(canary))
        time.sleep(0.3)
        site.route(Split(champion, ((canary, 50),), "r"))

    codes, ports = await load(f"{site.url}/flights/invocations", 2, change)
    assert set(codes) == {200}
    assert set(ports) == {champion.replicas[0].http, canary.replicas[0].http}


async def test_the_death_of_the_only_canary_loses_nothing(site: Site) -> None:
    champion, canary = site.start("1"), site.start("2")
    site.route(Split(champion, ((canary, 50),), "r"))

    def kill() -> None:
        time.sleep(0.5)
        site.upstreams["2"].kill()
        site.upstreams["2"].wait()
        time.sleep(1.5)

    codes, ports = await load(f"{site.url}/flights/invocations", 1, kill)
    assert set(codes) == {200}
    assert ports[canary.replicas[0].http] > 0
    assert champion.cluster in site.gateway.healthy()
    until(lambda: canary.cluster not in site.gateway.healthy())


async def test_a_fault_of_the_canary_is_retried_on_the_champion_and_counted_against_the_canary(site: Site) -> None:
    champion, canary = site.start("1"), site.start("2", failing=0.2)
    site.route(Split(champion, ((canary, 50),), "r"))
    codes, _ = await load(f"{site.url}/flights/invocations", 1.5, lambda: None)
    assert set(codes) == {200}
    until(lambda: all(one.active == 0 for one in site.gateway.counts().values()))
    counts = site.gateway.counts()
    arms = arm_counts(read_splits(site.folder / "rds.json")["flights"], counts)
    old, new = arms["champion"], arms["challenger"]
    assert new.requests + old.requests <= codes[200]
    assert new.errors / new.requests == pytest.approx(0.2, abs=0.05)
    assert old.errors == 0


async def test_a_champion_that_misses_its_health_checks_still_gets_its_requests(site: Site) -> None:
    """An overloaded champion is better than an answer that nobody is there."""
    champion = site.start("1")
    site.route(Split(champion))
    site.upstreams["1"].kill()
    site.upstreams["1"].wait()
    until(lambda: champion.cluster not in site.gateway.healthy())
    site.start("1")
    until(
        lambda: (
            get(f"http://127.0.0.1:{champion.replicas[0].http}/x")[0] == 200
            if listening(champion.replicas[0].http)
            else False
        )
    )
    assert get(f"{site.url}/flights/invocations")[0] == 200


def listening(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping"):
            return True
    except OSError:
        return False


def test_a_gateway_that_is_down_is_a_fault_that_may_pass() -> None:
    with pytest.raises(TransientError, match="does not answer"):
        Gateway(f"http://127.0.0.1:{free_port()}").accepted()
