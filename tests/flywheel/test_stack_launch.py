"""A program that is started again finds nothing of its killed predecessor."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from flywheel.open_files import most_files
from flywheel.stack.processes import started_ticks
from tests.deploy.conftest import ENVIRONMENT, wait_for

PARENT = "import subprocess, sys, time; print(subprocess.Popen(['sleep', '600']).pid, flush=True); time.sleep(600)"


def launched(home: Path, name: str, code: str = PARENT, files: int | None = None) -> "subprocess.Popen[bytes]":
    """Launch a program; `files` is the soft limit of open files of who does so."""
    program: dict[str, Any] = {
        "name": name,
        "command": [sys.executable, "-c", code],
        "environment": {},
        "directory": None,
    }
    file = home / f"{name}.json"
    file.write_text(json.dumps({**program, "user": None, "stop_signal": "TERM"}))
    command = [sys.executable, "-m", "flywheel.stack.launch", "--home", str(home), "--program", str(file)]
    if files is not None:
        command = ["sh", "-c", f'ulimit -Sn {files}; exec "$@"', "sh", *command]
    return subprocess.Popen(command, env=ENVIRONMENT, cwd=home)


def children(home: Path, name: str, count: int) -> list[int]:
    log = home / "logs" / f"{name}.log"
    wait_for(lambda: log.exists() and len(log.read_text().split()) == count, "the child")
    return [int(word) for word in log.read_text().split()]


def test_a_child_that_outlived_its_killed_program_is_ended_before_the_program_starts_again(tmp_path: Path) -> None:
    other, first = launched(tmp_path, "other"), launched(tmp_path, "mine")
    spared, orphan = children(tmp_path, "other", 1)[0], children(tmp_path, "mine", 1)[0]
    first.kill()
    first.wait(10)
    assert started_ticks(orphan) is not None
    second = launched(tmp_path, "mine")
    try:
        newest = children(tmp_path, "mine", 2)[1]
        assert started_ticks(orphan) is None
        assert started_ticks(spared) is not None
    finally:
        for process in (other, second):
            process.kill()
            process.wait(10)
        for pid in (spared, newest):
            os.kill(pid, signal.SIGKILL)


def test_a_program_may_open_as_many_files_as_the_hard_limit_allows(tmp_path: Path) -> None:
    shown = "import resource; print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    assert launched(tmp_path, "mine", shown, files=100).wait(30) == 0
    soft = int((tmp_path / "logs" / "mine.log").read_text().split()[0])
    assert soft == most_files() > 100
