"""Logs of programs that go on running are rotated beneath them."""

import subprocess
import sys
from pathlib import Path

from deploy.log.program_logs import rotate
from flywheel.settings import Settings
from flywheel.stack.supervisor import Program, write_program
from tests.deploy.conftest import ENVIRONMENT, ROOT, wait_for

WRITER = "import sys\nfor line in sys.stdin: print(line * 1000, flush=True)"


def test_a_full_log_is_kept_aside_and_its_program_goes_on_writing_from_the_start(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    write_program(settings, Program("agent-tiny-v1", [sys.executable, "-c", WRITER]))
    launch = [sys.executable, "-m", "flywheel.stack.launch", "--home", str(tmp_path), "--program"]
    file = tmp_path / "supervisor" / "programs" / "agent-tiny-v1.json"
    log = tmp_path / "logs" / "agent-tiny-v1.log"
    with subprocess.Popen([*launch, str(file)], stdin=subprocess.PIPE, env=ENVIRONMENT, cwd=ROOT, text=True) as program:
        assert program.stdin is not None
        program.stdin.write("first\n")
        program.stdin.flush()
        wait_for(lambda: log.exists() and log.stat().st_size > 6000, "the first lines")
        assert rotate(log.parent, 1 << 20) == []
        assert rotate(log.parent, 1000) == [log]
        program.stdin.write("second\n")
        program.stdin.flush()
        wait_for(lambda: log.stat().st_size > 7000, "the second lines")
        program.stdin.close()
    assert set(log.read_text().split()) == {"second"}
    assert set(log.with_suffix(".log.1").read_text().split()) == {"first"}
