"""Starting and ending: nothing stays after an interruption, a kill or a failed start, and each fault is a sentence."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flywheel.connections import endpoints
from flywheel.errors import StackError, UsageError
from flywheel.policy import Policy
from flywheel.settings import Settings
from flywheel.stack.credentials import load_credentials
from flywheel.stack.down import end_stack, erase
from flywheel.stack.ports import free_port, is_free, remembered_ports
from flywheel.stack.processes import living
from flywheel.stack.status import stack_rows
from flywheel.stack.up import bring_up, locked


@pytest.fixture
def home() -> Iterator[Settings]:
    folder = Path(tempfile.mkdtemp(prefix="flywheel-life-"))
    folder.chmod(0o755)
    settings = Settings(home=folder / "home")
    yield settings
    end_stack(settings, patience=2)
    erase(settings)
    shutil.rmtree(folder)


def begin_up(settings: Settings, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from flywheel.stack.cli import app; app()", "up"],
        env={**os.environ, "FLYWHEEL_HOME": str(settings.root), **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_until(process: subprocess.Popen[str], word: str) -> None:
    assert process.stderr is not None
    while word not in (line := process.stderr.readline()):
        assert line, f"ended before it said {word}"


def assert_nothing_is_left(settings: Settings) -> None:
    assert living(settings.root) == []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            assert os.fsencode(settings.root) not in command, command


def test_nothing_stays_after_a_kill_of_the_supervisor_and_the_next_start_finds_its_data(home: Settings) -> None:
    said: list[str] = []
    bring_up(home, said.append)
    first = endpoints(home)
    users = load_credentials(home, Policy()).users
    supervisor = next(entry for entry in living(home.root) if entry.name == "supervisord")
    os.kill(supervisor.pid, signal.SIGKILL)
    os.waitpid(supervisor.pid, 0)
    assert stack_rows(home)[0].state == "GONE"
    assert len(living(home.root)) >= 4
    bring_up(home, said.append)
    assert any(line.startswith("Ended ") for line in said)
    assert endpoints(home).mlflow_url == first.mlflow_url
    assert endpoints(home).stack_id != first.stack_id
    assert load_credentials(home, Policy()).users == users
    assert all(row.healthy for row in stack_rows(home))
    end_stack(home)
    assert_nothing_is_left(home)
    ports = remembered_ports(home)
    assert ports is not None
    assert all(is_free(port) for port in ports.model_dump().values())
    assert end_stack(home) == []


@pytest.mark.parametrize(("word", "number"), [("Supervisor", signal.SIGTERM), ("Gateway", signal.SIGINT)])
def test_nothing_stays_after_an_interrupted_start(home: Settings, word: str, number: signal.Signals) -> None:
    with begin_up(home) as process:
        read_until(process, word)
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode != 0
    assert_nothing_is_left(home)
    with pytest.raises(StackError):
        endpoints(home)


def test_down_ends_what_a_killed_start_left(home: Settings) -> None:
    with begin_up(home) as process:
        read_until(process, "Postgres")
        process.kill()
    assert living(home.root) != []
    end_stack(home, patience=5)
    assert_nothing_is_left(home)


def test_a_part_that_cannot_start_is_named_with_its_reason_and_log_and_nothing_stays(home: Settings) -> None:
    (home.root / "logs" / "gateway.jsonl").mkdir(parents=True)  # where Envoy wants to write its access log
    with pytest.raises(StackError, match=r"Gateway did not start: its process ended. Its log is .*gateway\.log"):
        bring_up(home, lambda _: None)
    assert_nothing_is_left(home)


def test_an_unreachable_database_is_one_sentence_and_leaves_no_home(home: Settings) -> None:
    url = f"postgresql://somebody:a-password@127.0.0.1:{free_port()}/postgres"
    with pytest.raises(StackError, match="cannot be reached") as raised:
        bring_up(home.model_copy(update={"database_url": url}), lambda _: None)
    assert "a-password" not in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not home.root.exists()


@pytest.mark.parametrize("url", ["nonsense", "mysql://a:b@127.0.0.1/c", "postgresql://a:b@127.0.0.1:many/c"])
def test_what_is_no_postgres_address_is_wrong_use(home: Settings, url: str) -> None:
    with pytest.raises(UsageError, match=r"Write postgresql://user:password@host:5432/postgres"):
        bring_up(home.model_copy(update={"database_url": url}), lambda _: None)
    assert not home.root.exists()


def test_a_wrong_policy_is_named_before_anything_starts(home: Settings) -> None:
    home.root.mkdir()
    (home.root / "policy.yaml").write_text("people: {eve: emperor}")
    with pytest.raises(UsageError, match=r"people\.eve"):
        bring_up(home, lambda _: None)
    assert_nothing_is_left(home)


def test_two_starts_do_not_work_on_one_home_at_once(home: Settings) -> None:
    with locked(home), pytest.raises(StackError, match="Another `flywheel up` or `down` works on"):
        bring_up(home, lambda _: None)


def test_a_home_that_cannot_be_a_folder_is_one_sentence(home: Settings) -> None:
    home.root.write_text("a file")
    with pytest.raises(StackError, match=r"Home .* cannot be used: .* Set FLYWHEEL_HOME to another folder"):
        bring_up(home, lambda _: None)
    home.root.unlink()


def test_a_start_that_is_told_to_end_at_once_ends_at_once(home: Settings) -> None:
    with begin_up(home) as process:
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert_nothing_is_left(home)
