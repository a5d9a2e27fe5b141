"""Programs under a real supervisord: what they get, what becomes of them, and that nothing stays."""

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flywheel.errors import StackError
from flywheel.settings import Settings
from flywheel.stack.down import end_stack
from flywheel.stack.processes import living
from flywheel.stack.supervisor import (
    Program,
    program_path,
    program_states,
    socket_path,
    start_program,
    start_supervisor,
    stop_and_remove_program,
    write_program,
)

SAY = "import json, os, sys, time; print(json.dumps([dict(os.environ), sys.argv[1:], os.getcwd()]), flush=True); "
AWKWARD = "quote \" apostrophe ' percent % semicolon ; comma , backslash \\ ü"


@pytest.fixture
def home() -> Iterator[Settings]:
    with tempfile.TemporaryDirectory(prefix="flywheel test %d ") as folder:  # a space and a percent sign on purpose
        settings = Settings(home=Path(folder))
        start_supervisor(settings)
        yield settings
        end_stack(settings, patience=2)
        assert living(settings.root) == []


def eventually(condition: Callable[[], bool], seconds: float = 20) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def run(settings: Settings, program: Program) -> None:
    write_program(settings, program)
    start_program(settings, program.name)


def first_line(settings: Settings, name: str) -> str:
    log = settings.root / "logs" / f"{name}.log"
    assert eventually(lambda: log.exists() and "\n" in log.read_text())
    return log.read_text().splitlines()[0]


def sleeper(name: str = "sleeper") -> Program:
    return Program(name, [sys.executable, "-c", SAY + "time.sleep(600)", AWKWARD], {"SECRET": AWKWARD})


def test_a_program_gets_its_arguments_environment_and_folder_as_they_are(home: Settings) -> None:
    run(home, sleeper())
    environment, arguments, folder = json.loads(first_line(home, "sleeper"))
    assert arguments == [AWKWARD]
    assert environment["SECRET"] == AWKWARD
    assert environment["FLYWHEEL_HOME"] == str(home.root)
    assert folder == str(home.root)


def test_nothing_of_the_callers_environment_reaches_a_program_but_what_is_listed(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(home, sleeper())
    environment, _, _ = json.loads(first_line(home, "sleeper"))
    assert not {name for name in environment if "DATABASE" in name or name.startswith(("AWS_", "PYTEST_"))}


def test_the_files_of_a_program_are_private_and_its_secrets_are_in_no_command_line(home: Settings) -> None:
    run(home, Program("holder", [sys.executable, "-c", SAY + "time.sleep(600)"], {"SECRET": "a-secret-of-this-test"}))
    first_line(home, "holder")
    files = [program_path(home, "holder"), home.root / "supervisor" / "conf.d" / "holder.conf"]
    files += [home.root / "logs" / "holder.log"]
    assert [oct(path.stat().st_mode & 0o777) for path in files] == ["0o600"] * 3
    commands = [Path(f"/proc/{entry.pid}/cmdline").read_bytes() for entry in living(home.root)]
    assert len(commands) == 2
    assert not [command for command in commands if b"a-secret-of-this-test" in command]


def test_starting_twice_leaves_the_running_program_alone(home: Settings) -> None:
    run(home, sleeper())
    first_line(home, "sleeper")
    before = program_states(home)["sleeper"].pid
    start_program(home, "sleeper")
    assert program_states(home)["sleeper"].pid == before


def test_a_removed_program_is_gone_and_its_name_can_be_used_again(home: Settings) -> None:
    run(home, sleeper())
    first_line(home, "sleeper")
    stop_and_remove_program(home, "sleeper")
    stop_and_remove_program(home, "sleeper")
    assert program_states(home) == {}
    assert [entry.name for entry in living(home.root)] == ["supervisord"]
    run(home, sleeper())
    assert eventually(lambda: program_states(home)["sleeper"].state == "RUNNING")


def test_a_program_that_is_killed_is_started_again(home: Settings) -> None:
    run(home, sleeper())
    assert eventually(lambda: program_states(home)["sleeper"].state == "RUNNING")
    before = program_states(home)["sleeper"].pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    assert eventually(lambda: program_states(home)["sleeper"].pid not in {None, before})


def test_a_killed_supervisor_leaves_orphans_that_down_ends(home: Settings) -> None:
    run(home, sleeper())
    first_line(home, "sleeper")
    supervisor = next(entry for entry in living(home.root) if entry.name == "supervisord")
    os.kill(supervisor.pid, signal.SIGKILL)
    assert eventually(lambda: [entry.name for entry in living(home.root)] == ["sleeper"])
    with pytest.raises(StackError, match="flywheel up"):
        program_states(home)
    end_stack(home, patience=2)
    assert living(home.root) == []
    assert end_stack(home) == []


def test_a_deep_home_has_its_socket_elsewhere(tmp_path: Path) -> None:
    deep = Settings(home=tmp_path / ("x" * 100))
    assert len(str(socket_path(deep))) < 100
    assert socket_path(deep) != socket_path(Settings(home=tmp_path / ("y" * 100)))
    try:
        start_supervisor(deep)
        assert program_states(deep) == {}
        assert socket_path(deep).parent.stat().st_mode & 0o777 == 0o700
    finally:
        end_stack(deep)
    assert not socket_path(deep).parent.exists()
