"""The doorman's counts: by result, whatever it is asked, and told by a real doorman through its file."""

import socket
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry

from deploy.doorman.counts import DoorCounts
from deploy.doorman.door import Verdict
from deploy.doorman.tokens import Book
from flywheel.settings import Settings
from flywheel.stack.gateway import doorman_socket
from flywheel.textfile import Textfile, TextfileCollector
from tests.deploy.conftest import ENVIRONMENT, ROOT, wait_for

READ = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_checks_are_counted_by_result_and_answered_as_they_were(tmp_path: Path) -> None:
    statuses = [200, 200, 401, 403, 429, 503, 418]
    coming = iter(statuses)

    def judge(_headers: Mapping[bytes, bytes]) -> Verdict:
        return Verdict(next(coming))

    told = Textfile(tmp_path, "doorman")
    watched = DoorCounts(told, lambda: Book(read_at=READ.isoformat())).watched(judge)
    assert [watched({}).status for _ in statuses] == statuses
    counted = {
        result: told.registry.get_sample_value("flywheel_doorman_checks_total", {"result": result})
        for result in ("allowed", "unknown", "scope", "quota", "stale", "other")
    }
    assert counted == {"allowed": 2, "unknown": 1, "scope": 1, "quota": 1, "stale": 1, "other": 1}
    assert told.registry.get_sample_value("flywheel_doorman_check_seconds_count") == len(statuses)
    assert told.registry.get_sample_value("flywheel_doorman_tokens") == 0
    assert told.registry.get_sample_value("flywheel_doorman_trail_read_timestamp_seconds") == READ.timestamp()


def test_a_trail_that_was_never_read_was_read_at_0(tmp_path: Path) -> None:
    told = Textfile(tmp_path, "doorman")
    DoorCounts(told, Book)
    assert told.registry.get_sample_value("flywheel_doorman_trail_read_timestamp_seconds") == 0


def test_a_doorman_without_a_database_tells_what_it_refused(tmp_path: Path) -> None:
    (tmp_path / "serving.yaml").write_text("gateway: {auth: token}")
    settings, registry = Settings(home=tmp_path), CollectorRegistry()
    registry.register(TextfileCollector(tmp_path))
    command = [sys.executable, "-m", "deploy.doorman", "--home", str(tmp_path)]
    with subprocess.Popen(command, env=ENVIRONMENT, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(doorman_socket(settings).exists, "the doorman's start")
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(10)
                client.connect(str(doorman_socket(settings)))
                client.sendall(b"POST /flights/invocations HTTP/1.1\r\nhost: a\r\nauthorization: Bearer x\r\n\r\n")
                assert client.recv(4096).startswith(b"HTTP/1.1 503")
        finally:
            process.terminate()
        assert process.wait(20) == 0
    assert registry.get_sample_value("flywheel_doorman_checks_total", {"result": "stale"}) == 1
