"""A real Alertmanager takes what monitoring tells, rings while it is open, and stops when it is over."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from flywheel import events
from flywheel.errors import TransientError
from flywheel.events import GENESIS, Event, EventKind
from registry.hooks.alertmanager import Alertmanager, alerts_of
from registry.hooks.consumers import RefusedError
from registry.hooks.file import parse_hooks
from tests.deploy.conftest import free_port
from tests.registry.hooks.receiver import Receiver
from tests.registry.hooks.test_email import ENTRY

PROGRAM = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
needs_alertmanager = pytest.mark.skipif(
    PROGRAM is None, reason="alertmanager is not on PATH (Debian: apt-get install prometheus-alertmanager)"
)


def event(kind: EventKind = EventKind.MONITOR_NOTICE, **changes: Any) -> Event:
    body = {"severity": "warning", "sentence": "flights: distance moved", "alerts": [{**ENTRY, **changes}]}
    return events.chained(GENESIS, kind, "flights", "svc-monitoring", body, datetime.now(UTC))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("alertmanager"), free_port()
    (folder / "am.yml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    assert PROGRAM is not None
    words = [PROGRAM, f"--config.file={folder / 'am.yml'}", f"--storage.path={folder}", "--cluster.listen-address="]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*words, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=subprocess.STDOUT
        )
    found = f"http://127.0.0.1:{port}"
    try:
        _await(found, process, folder / "log")
        yield found
    finally:
        process.terminate()
        process.wait(10)


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 30
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        with suppress(requests.ConnectionError):
            if requests.get(f"{url}/-/ready", timeout=2).ok:
                return
        time.sleep(0.1)


def ringing(url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = requests.get(f"{url}/api/v2/alerts?active=true", timeout=5).json()
    return [one for one in found if one["labels"].get("use_case") == "flights"]


@needs_alertmanager
def test_it_rings_gets_worse_and_is_over(url: str) -> None:
    receiver = Alertmanager(name="am", url=url)
    receiver.deliver(event())
    (one,) = ringing(url)
    assert one["labels"]["severity"] == "ticket"
    assert (one["labels"]["kind"], one["labels"]["key"]) == ("drift", "distance")
    assert one["annotations"]["summary"] == ENTRY["what"]
    assert one["annotations"]["certainty"] == ENTRY["certainty"]
    receiver.deliver(event())  # told again: the same alert
    assert len(ringing(url)) == 1
    receiver.deliver(event(why="worse", severity="critical"))
    assert [one["labels"]["severity"] for one in ringing(url)] == ["page"]
    receiver.deliver(event(why="resolved", severity="warning"))  # it had eased before it was over
    assert ringing(url) == []


@needs_alertmanager
def test_an_event_of_the_registry_rings_too_and_it_can_be_tried_out(url: str) -> None:
    receiver = Alertmanager(name="am", url=url)
    said = {"what": "pointer.moved", "sentence": "An alias moved past the registry."}
    receiver.deliver(events.chained(GENESIS, EventKind.ALERT, "churn", "svc-gates", said, datetime.now(UTC)))
    receiver.try_out()
    found = requests.get(f"{url}/api/v2/alerts", timeout=5).json()
    kinds = {one["labels"]["kind"]: one["annotations"]["summary"] for one in found}
    assert kinds["pointer.moved"] == "An alias moved past the registry."


def test_what_it_does_not_take_waits_or_is_said() -> None:
    with pytest.raises(TransientError, match="does not answer"):
        Alertmanager(name="am", url=f"http://127.0.0.1:{free_port()}").deliver(event())
    receiver = Receiver(answer=lambda _: 400).start()
    try:
        with pytest.raises(RefusedError, match="400"):
            Alertmanager(name="am", url=receiver.url).deliver(event())
    finally:
        receiver.stop()
    (got,) = receiver.got
    assert json.loads(got.payload)[0]["labels"]["alertname"] == "FlywheelMonitoring"


def test_empty_labels_are_left_out() -> None:
    (alert,) = alerts_of(event(key=""))
    assert "key" not in alert["labels"]


def test_the_file_names_all_three_kinds_of_receivers() -> None:
    hooks = parse_hooks(
        "webhooks: [{name: pager, url: 'https://example.org/x', severity: critical}]\n"
        "email: [{name: ops, host: mail.example.org, sender: a@example.org, to: [b@example.org], severity: warning}]\n"
        "alertmanagers: [{name: am, url: 'http://127.0.0.1:9093'}]\n",
        "hooks.yaml",
    )
    assert [one.name for one in hooks.receivers] == ["pager", "ops", "am"]
    assert [one.describe()["kind"] for one in hooks.receivers] == ["webhook", "email", "alertmanager"]
