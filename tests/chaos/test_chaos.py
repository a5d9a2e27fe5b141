"""The short form of `make chaos`: a few dozen kills under load, with real workers, agents, shipper and gateway."""

import json
import subprocess
import sys
from pathlib import Path

from tests.deploy.conftest import ENVIRONMENT, ROOT


def test_thirty_kills_fail_no_prediction_and_lose_or_double_no_record(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.chaos", "kills", "--kills", "30", "--seconds", "180"]
    ended = subprocess.run(
        [*command, "--json", str(tmp_path / "report.json")], env=ENVIRONMENT, cwd=ROOT, capture_output=True, check=False
    )
    assert ended.returncode == 0, ended.stdout.decode() + ended.stderr.decode()
    report = json.loads((tmp_path / "report.json").read_text())[0]
    assert report["figures"]["killed"] == 30
    assert report["figures"]["by_kind"]["agent"] > 0
    assert report["figures"]["accounts"]["answered_requests"] > 30
