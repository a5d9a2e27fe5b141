"""What the shipper tells of its commits: by the real process, and of a table that cannot be written."""

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from deploy.agent.limits import Limits
from deploy.agent.spool import Spool
from deploy.local.programs import SHIPPER
from deploy.log.measured import MeasuredLog
from flywheel.errors import StackError
from flywheel.records import REQUESTS
from flywheel.textfile import Textfile, TextfileCollector
from tests.deploy.conftest import ENVIRONMENT, ROOT, wait_for
from tests.deploy.test_shipper import CONTRACT_JSON, record

PREDICTIONS = {"use_case": "tiny", "table": "predictions"}


def test_a_shipper_tells_records_bytes_commits_and_their_time(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    registry.register(TextfileCollector(tmp_path))
    with Spool(tmp_path / "spool" / "tiny-v1", CONTRACT_JSON, Limits()) as spool:
        spool.append(b"".join(record(number) for number in range(5)))
        command = [sys.executable, "-m", "deploy.log.shipper", "--home", str(tmp_path), "--period", "0.05"]
        with subprocess.Popen(command, env=ENVIRONMENT, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
            try:
                wait_for((tmp_path / "log" / "tiny" / "predictions" / "_delta_log").exists, "the first commit")
            finally:
                process.terminate()
            assert process.wait(30) == 0

    def told(name: str, **labels: str) -> float:
        found = registry.get_sample_value(name, labels)
        assert found is not None, name
        return found

    # The supervisor's name of it: an alert joins the two.
    assert told("flywheel_textfile_mtime_seconds", program=SHIPPER) > 1.7e9
    assert told("flywheel_shipper_records_total", **PREDICTIONS) == 5
    assert told("flywheel_shipper_commits_total", **PREDICTIONS) == 1
    assert told("flywheel_shipper_bytes_total", **PREDICTIONS) > 5 * 50
    assert told("flywheel_shipper_commit_seconds_count", table="predictions") == 1
    assert told("flywheel_shipper_last_commit_timestamp_seconds") > 1.7e9
    assert registry.get_sample_value("flywheel_shipper_failures_total", PREDICTIONS) is None


def test_a_table_that_cannot_be_written_or_read_is_a_failure_and_no_commit(tmp_path: Path) -> None:
    told = Textfile(tmp_path, "shipper")
    log = MeasuredLog(tmp_path / "log", told)
    (tmp_path / "log" / "tiny").mkdir(parents=True)
    (tmp_path / "log" / "tiny" / "requests").write_text("a file where a table should be")
    labels = {"use_case": "tiny", "table": "requests"}
    with pytest.raises(StackError):
        log.commit("tiny", "requests", REQUESTS.empty_table(), {"a": 1})
    with pytest.raises(StackError):
        log.position("tiny", "requests", "a")
    assert told.registry.get_sample_value("flywheel_shipper_failures_total", labels) == 2
    assert told.registry.get_sample_value("flywheel_shipper_commits_total", labels) is None
