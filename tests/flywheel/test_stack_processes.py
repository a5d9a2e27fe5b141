"""The recorder: what it finds, what it ends, and what it must never touch."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.stack.processes import (
    Record,
    end_leftovers,
    living,
    read_records,
    recorded_command,
    records_path,
    started_ticks,
)

SLEEP = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)",
]
# Starts a child in a session of its own, says its number, and waits.
PARENT = [
    sys.executable,
    "-c",
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
    "print(child.pid, flush=True); time.sleep(600)",
]


def start(home: Path, command: list[str], name: str = "sleeper") -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(recorded_command(home, name, command), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def finish(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()


def eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def test_a_recorded_process_is_found_by_its_number_and_start_and_is_ended(tmp_path: Path) -> None:
    process, _ = start(tmp_path, SLEEP)
    assert read_records(tmp_path) == [Record("sleeper", process.pid, started_ticks(process.pid) or 0)]
    assert [entry.pid for entry in living(tmp_path)] == [process.pid]
    assert [entry.name for entry in end_leftovers(tmp_path)] == ["sleeper"]
    assert started_ticks(process.pid) is None
    assert not records_path(tmp_path).exists()
    finish(process)


def test_a_process_whose_start_time_differs_from_the_record_is_not_touched(tmp_path: Path) -> None:
    with subprocess.Popen(SLEEP, stdout=subprocess.PIPE, text=True) as stranger:
        started = started_ticks(stranger.pid)
        assert started is not None
        records_path(tmp_path).parent.mkdir()
        entry = {"name": "postgres", "pid": stranger.pid, "started": started - 1}
        records_path(tmp_path).write_text(json.dumps(entry) + "\n")
        assert end_leftovers(tmp_path) == []
        assert started_ticks(stranger.pid) == started
        stranger.kill()


def test_a_child_in_a_session_of_its_own_is_ended_after_its_parent_was_killed(tmp_path: Path) -> None:
    process, child = start(tmp_path, PARENT)
    process.kill()
    process.wait()
    assert started_ticks(int(child)) is not None
    assert [entry.pid for entry in end_leftovers(tmp_path)] == [int(child)]
    assert started_ticks(int(child)) is None
    finish(process)


def test_a_process_that_ignores_the_polite_signal_is_killed(tmp_path: Path) -> None:
    process, _ = start(tmp_path, STUBBORN)
    end_leftovers(tmp_path, patience=0.2)
    assert started_ticks(process.pid) is None
    finish(process)


def test_another_home_is_left_alone(tmp_path: Path) -> None:
    process, _ = start(tmp_path / "one", SLEEP)
    assert end_leftovers(tmp_path / "two") == []
    assert started_ticks(process.pid) is not None
    finish(process)


def test_the_process_that_does_the_ending_spares_itself(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from flywheel.stack.processes import end_leftovers, living\n"
    code += "home = Path(sys.argv[1]); print(len(living(home)), len(end_leftovers(home)))"
    process, said = start(tmp_path, [sys.executable, "-c", code, str(tmp_path)])
    assert said == "0 0"
    assert process.wait() == 0
    finish(process)


def test_a_command_that_does_not_exist_ends_with_a_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        recorded_command(tmp_path, "nothing", ["no-such-program"]), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.strip() == "nothing: cannot start no-such-program: No such file or directory."


@pytest.mark.parametrize("signal_name", ["TERM", "INT"])
def test_the_recorded_signal_is_the_polite_one(tmp_path: Path, signal_name: str) -> None:
    code = "import signal, sys, time\n"
    code += f"signal.signal(signal.SIG{signal_name}, lambda *_: (print('asked', flush=True), sys.exit()))\n"
    code += "print('ready', flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        entry = Record("x", process.pid, started_ticks(process.pid) or 0, signal_name)
        records_path(tmp_path).parent.mkdir()
        records_path(tmp_path).write_text(json.dumps(vars(entry)) + "\n")
        end_leftovers(tmp_path)
        assert process.stdout.readline() == "asked\n"


def test_a_zombie_has_ended(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        assert eventually(lambda: started_ticks(process.pid) is None)


@given(st.lists(st.text(alphabet=st.characters(blacklist_categories=["Cs"]))))
def test_damaged_records_are_passed_over(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    home = tmp_path_factory.mktemp("home")
    records_path(home).parent.mkdir()
    good = json.dumps({"name": "a", "pid": 2**22 + 1, "started": 5})
    records_path(home).write_text("\n".join([*lines, good]) + '\n{"name": "torn", "pi')
    assert Record("a", 2**22 + 1, 5) in read_records(home)
    assert os.getpid() not in {entry.pid for entry in living(home)}
