"""Measuring runs beside the controller; whatever it prints or does, a measurement comes of it."""

import sys
import time
from pathlib import Path

from deploy.desired import Served
from deploy.local.choice import Measurement
from deploy.local.measuring import SECONDS, Measuring, read_measurement
from flywheel.stack.processes import started_ticks
from tests.deploy.conftest import wait_for

SERVED = Served("flights", "1", "sha256:0")
FINE = '{"rows": 5, "parity": {"holds": true, "max_difference": 1e-7}, "mlflow": {"p50_ms": 9}, "onnx": {"p50_ms": 1}}'


def poll_until_done(measuring: Measuring, folder: Path) -> Measurement:
    found: list[Measurement] = []

    def done() -> bool:
        measurement = measuring.poll(SERVED, folder, "http://127.0.0.1:1", time.monotonic())
        found.extend([measurement] if measurement is not None else [])
        return bool(found)

    wait_for(done, "a measurement")
    return found[0]


def test_the_last_line_is_the_measurement(tmp_path: Path) -> None:
    program = f"print('a warning'); print({FINE!r})"
    found = poll_until_done(Measuring([sys.executable, "-c", program]), tmp_path)
    assert (found.parity, found.mlflow_ms, found.onnx_ms, found.numbers["rows"]) == (True, 9, 1, 5)


def test_one_that_fails_is_no_parity_and_says_its_last_line(tmp_path: Path) -> None:
    program = "import sys; sys.exit('Error: the graph cannot be loaded.')"
    found = poll_until_done(Measuring([sys.executable, "-c", program]), tmp_path)
    assert not found.parity
    assert "the graph cannot be loaded" in found.reason


def test_one_that_hangs_is_ended_and_is_no_parity(tmp_path: Path) -> None:
    measuring = Measuring([sys.executable, "-c", "import time; time.sleep(600)"])
    assert measuring.poll(SERVED, tmp_path, "", 0.0) is None
    found = measuring.poll(SERVED, tmp_path, "", SECONDS + 1)
    assert found is not None
    assert "did not end" in found.reason


def test_one_whose_version_is_wanted_no_more_is_ended_and_another_may_begin(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    program = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    measuring = Measuring([sys.executable, "-c", program])
    measuring.drop(SERVED)  # nothing is there yet
    assert measuring.poll(SERVED, tmp_path, "", 0.0) is None
    wait_for(lambda: pid.exists() and pid.read_text() != "", "the measurement")
    measuring.drop(SERVED)
    assert started_ticks(int(pid.read_text())) is None
    assert measuring.poll(SERVED, tmp_path, "", SECONDS + 1) is None  # a new one, which has all its time
    measuring.drop(SERVED)


def test_what_is_no_measurement_is_no_parity() -> None:
    for said in (b"", b"{}", b"[1]", b"null", b'{"parity": 1}'):
        assert not read_measurement(0, said).parity
