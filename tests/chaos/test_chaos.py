"""The short form of `make chaos`: two dozen kills under load, with real workers, agents, shipper and gateway."""

import json
import subprocess
import sys
from pathlib import Path

from tests.deploy.conftest import ENVIRONMENT, ROOT


def test_two_dozen_kills_fail_no_prediction_and_lose_or_double_no_record(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.chaos", "kills", "--kills", "24", "--seconds", "180"]
    ended = subprocess.run(
        [*command, "--json", str(tmp_path / "report.json")], env=ENVIRONMENT, cwd=ROOT, capture_output=True, check=False
    )
    assert ended.returncode == 0, ended.stdout.decode() + ended.stderr.decode()
    report = json.loads((tmp_path / "report.json").read_text())
    assert all(goal["met"] for goal in report["goals"])
    figures = report["rows"][0]["figures"]
    assert {"agent", "scorer", "shipper"} <= {kind for kind, count in figures["by_kind"].items() if count > 0}
    assert figures["accounts"]["answered_requests"] > 30
