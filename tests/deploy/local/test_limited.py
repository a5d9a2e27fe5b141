"""Real processes within limits: memory is looked at, with that of their children; cores and priority are given."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local import limited
from deploy.local.limited import KILLED, OVER, cores
from flywheel.stack.processes import started_ticks
from tests.deploy.conftest import wait_for

GROWS = "import sys\nheld = bytearray(b'x') * (300 << 20)\nsys.stdin.read()"
PARENT = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {GROWS!r}])"
TELLS = "import os; print(os.getpriority(os.PRIO_PROCESS, 0), len(os.sched_getaffinity(0)))"


def within(options: Sequence[str], code: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-I", limited.__file__, "--part", "agent", "--name", "agent-tiny-v1", *options, "--"]
    return subprocess.Popen(
        [*command, sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("code", [GROWS, PARENT])
def test_what_takes_more_than_its_limit_is_killed_whoever_of_the_family_takes_it(code: str) -> None:
    with within(["--memory-mb", "200"], code) as process:
        assert process.wait(60) == KILLED
        assert process.stderr is not None
        said = process.stderr.read()
    assert said.startswith(OVER)
    assert said.endswith("resources.agent.memory_mb in serving.yaml allows 200 MB.\n")


def test_what_keeps_to_its_limit_ends_as_it_would_without() -> None:
    for code, expected in (("import sys; sys.exit(7)", 7), ("import os; os.kill(os.getpid(), 9)", KILLED)):
        with within(["--memory-mb", "200"], code) as process:
            assert process.wait(60) == expected
            assert process.stderr is not None
            assert process.stderr.read() == ""


def test_sigterm_reaches_the_program() -> None:
    code = "import signal, sys\nsignal.signal(15, lambda *_: sys.exit(3))\nprint(1, flush=True)\nsignal.pause()"
    with within(["--memory-mb", "200"], code) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 3


def test_cores_and_priority_are_the_programs_own_and_without_a_memory_limit_nobody_stands_between() -> None:
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    with within(["--nice", "3", "--cpus", "1"], f"import os; print(os.getpid()); {TELLS}") as process:
        assert process.stdout is not None
        pid, told = process.stdout.read().splitlines()
    assert int(pid) == process.pid
    assert told == f"{min(nice + 3, 19)} 1"
    wait_for(lambda: started_ticks(process.pid) is None, "the end")


@given(st.text(), st.integers(1, 8), st.sets(st.integers(0, 63), min_size=1))
def test_a_program_gets_as_many_cores_as_it_may_have_all_of_them_allowed(
    name: str, count: int, allowed: set[int]
) -> None:
    chosen = cores(name, count, allowed)
    assert chosen <= allowed
    assert len(chosen) == min(count, len(allowed))
    assert cores(name, count, allowed) == chosen


def test_programs_are_spread_over_the_cores() -> None:
    assert set().union(*(cores(f"agent-{number}", 1, {0, 1, 2, 3}) for number in range(40))) == {0, 1, 2, 3}
