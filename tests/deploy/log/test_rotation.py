"""Rotation of the access log of a real Envoy: no line is lost or doubled, whoever dies when."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.gateway.documents import write_document
from deploy.gateway.routes import route_document
from deploy.log.access_lines import split_line
from deploy.log.access_log import AccessLog, rotated
from deploy.log.rotation import PERIOD_SECONDS, Rotation, rotation
from deploy.log.shipper import Shipper
from flywheel.settings import Settings
from flywheel.stack.gateway import admin_url, bootstrap
from flywheel.stack.ports import Ports
from flywheel.storage import PredictionLog
from tests.deploy.conftest import ENVIRONMENT, ROOT, free_port, status_of, wait_for
from tests.deploy.gateway.test_gateway import envoy
from tests.deploy.test_shipper import request


@dataclass
class Door:
    """A home with an Envoy that answers /tiny by itself, and logs that as a request of use case `tiny`."""

    home: Path
    ports: Ports
    processes: "list[subprocess.Popen[bytes]]" = field(default_factory=list)
    answered: list[str] = field(default_factory=list)

    @property
    def lines(self) -> Path:
        return self.home / "logs" / "gateway.jsonl"

    def start(self) -> None:
        command = [str(envoy()), "-c", str(self.home / "boot.json"), "--disable-hot-restart", "--concurrency", "2"]
        command += ["--file-flush-interval-msec", "50", "-l", "error"]
        self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))
        wait_for(lambda: status_of(f"http://127.0.0.1:{self.ports.gateway}/tiny/ping") == 200, "Envoy's start", 30)

    def kill(self) -> None:
        self.processes[-1].kill()
        self.processes[-1].wait()

    async def ask(self, session: aiohttp.ClientSession, size: int = 0) -> None:
        name = f"asked-{len(self.answered)}-{time.monotonic_ns()}"
        url = f"http://127.0.0.1:{self.ports.gateway}/tiny/{'x' * size}"
        async with session.get(url, headers={"x-request-id": name}) as answer:
            await answer.read()
            assert answer.status == 200
        self.answered.append(name)

    def ask_some(self, count: int) -> None:
        async def some() -> None:
            async with aiohttp.ClientSession() as session:
                for _ in range(count):
                    await self.ask(session)

        asyncio.run(some())

    def flushed(self) -> None:
        """Wait until the last answer's line is in a file."""
        wait_for(lambda: any(self.answered[-1] in path.read_text() for path in self.files()), "a flush", 20)

    def files(self) -> list[Path]:
        """Return the access log, and the one before it."""
        return [path for path in (self.lines, rotated(self.lines)) if path.exists()]

    def logged(self) -> list[str]:
        found: list[str] = PredictionLog(self.home / "log").requests("tiny")["request_id"].to_list()
        return sorted(name for name in found if name.startswith("asked-"))


@contextmanager
def open_door(home: Path) -> Iterator[Door]:
    numbers: list[int] = []
    while len(numbers) < len(Ports.model_fields):
        numbers = list({*numbers, free_port()})
    door = Door(home, Ports(**dict(zip(Ports.model_fields, numbers, strict=True))))
    for name in ("logs", "run"):
        (home / name).mkdir()
    (home / "serving.yaml").write_text("gateway: {access_log_mb: 1}")
    addresses = dict.fromkeys(("stack_id", "mlflow_url", "gateway_url", "s3_url", "supervisor_socket"), "none")
    addresses["envoy_admin_url"] = admin_url(Settings(home=home))
    (home / "run" / "endpoints.json").write_text(json.dumps(addresses))
    write_document(home / "envoy" / "dynamic" / "cds.json", {"version_info": "1", "resources": []})
    routes: dict[str, Any] = route_document([])
    route = {"name": "tiny", "match": {"prefix": "/tiny"}, "direct_response": {"status": 200}}
    routes["resources"][0]["virtual_hosts"][0]["routes"].insert(0, route)
    write_document(home / "envoy" / "dynamic" / "rds.json", routes)
    (home / "boot.json").write_text(json.dumps(bootstrap(Settings(home=home), door.ports)))
    try:
        yield door
    finally:
        for process in door.processes:
            process.kill()
            process.wait()


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    with open_door(tmp_path) as made:
        made.start()
        yield made


def test_while_shippers_are_killed_every_line_arrives_once_and_files_come_and_go(door: Door) -> None:
    shipping = [sys.executable, "-m", "deploy.log.shipper", "--home", str(door.home), "--period", "0.01"]
    files = set[bytes]()
    with asked_all_the_time(door):
        deadline = time.monotonic() + 120
        while len(files) < 3:
            assert time.monotonic() < deadline, "it was hardly ever rotated"
            with subprocess.Popen(shipping, env=ENVIRONMENT, cwd=ROOT, stderr=subprocess.DEVNULL) as shipper:
                known = len(files)
                while len(files) == known and time.monotonic() < deadline:
                    files |= first_line(door.lines)
                shipper.kill()
    door.flushed()
    Shipper(door.home).drain()
    assert door.logged() == sorted(door.answered)
    assert not rotated(door.lines).exists()
    assert list(door.lines.parent.glob("*.rejected")) == []


def first_line(path: Path) -> set[bytes]:
    """Return what tells a file from the next of the same name; nothing while there is none."""
    try:
        with path.open("rb") as file:
            return {file.readline()}
    except FileNotFoundError:
        return set()


@contextmanager
def asked_all_the_time(door: Door) -> Iterator[None]:
    done = threading.Event()

    async def client(session: aiohttp.ClientSession) -> None:
        while not done.is_set():
            await door.ask(session, size=3000)

    async def clients() -> None:
        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(client(session) for _ in range(4)))

    asking = threading.Thread(target=asyncio.run, args=(clients(),))
    asking.start()
    try:
        yield
    finally:
        done.set()
        asking.join()


def test_lines_written_to_the_old_file_after_it_was_moved_are_shipped_too_and_before_the_new_ones(door: Door) -> None:
    told: list[int] = []
    slow = Rotation(door.lines, lambda: 1, lambda: told.append(1))  # as if Envoy had not got to it yet
    shipping = AccessLog(door.lines, door.home / "log" / "position", PredictionLog(door.home / "log"))
    door.ask_some(3)
    door.flushed()
    slow.tick()
    assert (told, door.lines.exists()) == ([1], False)
    door.ask_some(3)
    door.flushed()
    list(shipping.ship())
    assert door.logged() == sorted(door.answered)
    assert rotated(door.lines).exists()
    rotation(door.home, door.lines).tick()  # as the next shipper does, which finds the file moved
    wait_for(door.lines.exists, "a new file", 20)
    door.ask_some(3)
    door.flushed()
    Shipper(door.home).drain()
    assert door.logged() == sorted(door.answered)
    assert not rotated(door.lines).exists()


def test_a_line_that_a_kill_tore_takes_no_other_line_with_it(door: Door) -> None:
    door.ask_some(2)
    door.flushed()
    door.kill()
    torn = request(1)[:70]
    with door.lines.open("ab") as file:
        file.write(torn)
    door.start()
    door.ask_some(2)
    door.flushed()
    Shipper(door.home).drain()
    assert door.logged() == sorted(door.answered)
    (rejected,) = door.lines.parent.glob("*.rejected")
    assert rejected.read_bytes() == torn


def test_a_line_that_a_kill_tore_at_the_end_of_an_old_file_is_set_aside_with_the_file_gone(door: Door) -> None:
    door.ask_some(2)
    door.flushed()
    door.kill()
    with door.lines.open("ab") as file:
        file.write(b'{"time"')
    rotation(door.home, door.lines).tick()  # under a megabyte: nothing happens
    assert not rotated(door.lines).exists()
    Rotation(door.lines, lambda: 1, lambda: None).tick()
    Shipper(door.home).drain()
    assert rotated(door.lines).exists()  # until Envoy is back, who knows
    door.start()
    door.ask_some(2)
    door.flushed()
    Shipper(door.home).drain()
    assert door.logged() == sorted(door.answered)
    assert not rotated(door.lines).exists()
    (rejected,) = door.lines.parent.glob("*.rejected")
    assert rejected.read_bytes() == b'{"time"'


def test_a_gateway_that_cannot_be_told_is_asked_again_and_shipping_goes_on(tmp_path: Path) -> None:
    lines = tmp_path / "logs" / "gateway.jsonl"
    lines.parent.mkdir()
    lines.write_bytes(request(1))
    now = [0.0]
    asked: list[float] = []
    rotating = Rotation(lines, lambda: 1, lambda: asked.append(now[0]), lambda: now[0])
    for _ in range(4):
        rotating.tick()
        now[0] += PERIOD_SECONDS / 2
    assert asked == [0.0, PERIOD_SECONDS]
    Shipper(tmp_path).drain()
    assert PredictionLog(tmp_path / "log").requests("tiny").height == 1


def test_a_file_of_unrouted_lines_longer_than_a_block_holds_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.log.segments.BLOCK_BYTES", 1000)
    lines = tmp_path / "logs" / "gateway.jsonl"
    lines.parent.mkdir()
    lines.write_bytes(b"".join(request(number, route=None) for number in range(20)) + request(99))
    Shipper(tmp_path).drain()
    assert PredictionLog(tmp_path / "log").requests("tiny")["request_id"].to_list() == ["r-99"]


@given(path=st.text() | st.sampled_from(["{", '{"', '{"time":"', request(7).decode()]), cut=st.integers(0, 400))
def test_whatever_a_client_writes_into_its_path_a_torn_line_is_told_from_the_next(path: str, cut: int) -> None:
    torn = orjson.dumps(json.loads(request(1)) | {"path": path})[:cut]
    sound = request(2, path=path)
    left, row = split_line(torn + sound)
    assert row is not None
    assert (left, row["request_id"], row["path"]) == (torn, "r-2", path)
    assert split_line(sound)[0] == b""


def test_what_is_no_http_is_a_clients_fault_and_soils_nothing(tmp_path: Path) -> None:
    lines = tmp_path / "logs" / "gateway.jsonl"
    lines.parent.mkdir()
    garbage = request(1, request_id=None, route=None, path=None, cluster=None, host=None, code=400, flags="DPE")
    lines.write_bytes(garbage + request(2) + request(3, request_id=None))  # the last is a request without an id
    Shipper(tmp_path).drain()
    assert PredictionLog(tmp_path / "log").requests("tiny")["request_id"].to_list() == ["r-2"]
    (rejected,) = lines.parent.glob("*.rejected")
    assert rejected.read_bytes() == request(3, request_id=None)
