"""Temporary files: those of the dead are cleared, those of the living are left alone."""

import fcntl
import subprocess
import sys
from pathlib import Path

from deploy.agent.limits import Limits
from deploy.agent.spool import Spool
from deploy.log.shipper import Shipper
from tests.deploy.conftest import ENVIRONMENT, ROOT
from tests.deploy.log.test_backoff import Watch
from tests.deploy.test_shipper import CONTRACT_JSON, record, shipped

# An agent that is killed just before its segment gets its name.
KILLED = """
import os, signal, sys
from pathlib import Path
from deploy.agent.limits import Limits
from deploy.agent.spool import Spool

Path.rename = lambda self, target: os.kill(os.getpid(), signal.SIGKILL)
Spool(Path(sys.argv[1]), b"{}", Limits())
"""


def temporary(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix not in (".jsonl", ".json", ".rejected"))


def test_leftovers_of_the_killed_are_cleared_after_a_minute_and_files_in_use_stay(tmp_path: Path) -> None:
    folder = tmp_path / "spool" / "tiny-v1"
    command = [sys.executable, "-c", KILLED, str(folder)]
    assert subprocess.run(command, env=ENVIRONMENT, cwd=ROOT, check=False).returncode == -9
    for name in (".contract.json.1", "0197-a.0.new"):
        (folder / name).write_bytes(b"half")
    assert len(temporary(folder)) == 3
    watch = Watch()
    shipper = Shipper(tmp_path, clock=watch)
    with Spool(folder, CONTRACT_JSON, Limits()) as agent, (folder / ".held.new").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        agent.append(record(1))
        for _ in range(59):
            shipper.tick()
            watch.time += 1.0
        assert len(temporary(folder)) == 4
        watch.time += 2.0
        shipper.tick()
        assert temporary(folder) == [".held.new"]
        assert shipped(tmp_path) == ["p-1"]
