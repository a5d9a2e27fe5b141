"""What a model's code reaches from inside the fence, as the same user as the registry."""

import ctypes
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.gates import fence
from registry.gates.fenced import fenced

VERSION = ctypes.CDLL(None).syscall(fence.CREATE, None, ctypes.c_size_t(0), fence.VERSION)
pytestmark = pytest.mark.skipif(VERSION < 1, reason="this kernel has no Landlock")


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield int(listening.getsockname()[1])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A secret beside what the program is given to read and the folder that it may write."""
    (tmp_path / "secret").write_text("hush")
    for name in ("given", "own"):
        (tmp_path / name).mkdir()
    (tmp_path / "given" / "model").write_text("weights")
    return tmp_path


def run(place: Path, statement: str) -> str:
    """Run a statement inside; return what it says, or the kind of its fault."""
    command = [sys.executable, "-I", "-c", statement]
    asked = fenced(command, read=[place / "given"], write=place / "own")
    done = subprocess.run(asked, cwd=place / "own", capture_output=True, text=True, check=False, timeout=60)
    return done.stdout.strip() if done.returncode == 0 else done.stderr.strip().splitlines()[-1].split(":")[0]


@pytest.mark.parametrize(
    "statement",
    [
        "open('{place}/secret')",
        "open('/proc/{pid}/environ').read()",
        "open('/proc/{pid}/mem', 'rb')",
        "open('/proc/{pid}/fd/0', 'wb')",
        "open('{place}/given/model', 'a')",
        "open('{place}/given/more', 'w')",
        "import os; os.remove('{place}/given/model')",
        "import os; os.symlink('{place}/secret', 'link'); open('link')",
        "import os; os.listdir(os.path.expanduser('~root'))",
    ],
)
def test_a_models_code_sees_and_changes_nothing_of_its_owner(place: Path, statement: str) -> None:
    assert run(place, statement.format(place=place, pid=os.getpid())) == "PermissionError"
    assert (place / "given" / "model").read_text() == "weights"


@pytest.mark.skipif(VERSION < 4, reason="this kernel's Landlock knows no network")
def test_a_models_code_connects_to_nobody_and_still_serves(place: Path, port: int) -> None:
    assert run(place, f"import socket; socket.create_connection(('127.0.0.1', {port}))") == "PermissionError"
    assert run(place, "import socket; print(socket.create_server(('127.0.0.1', 0)).fileno() > 0)") == "True"


@pytest.mark.skipif(VERSION < 6, reason="this kernel's Landlock knows no signals")
def test_a_models_code_ends_no_process_but_its_own(place: Path) -> None:
    assert run(place, f"import os; os.kill({os.getpid()}, 0)") == "PermissionError"
    child = "import subprocess, sys; c = subprocess.Popen(['sleep', '60']); c.kill(); print(c.wait())"
    assert run(place, child) == "-9"


def test_a_models_code_reads_what_it_is_given_and_writes_its_own(place: Path) -> None:
    assert run(place, f"print(open('{place}/given/model').read())") == "weights"
    assert run(place, "open('made', 'w').write('x'); print(open('made').read())") == "x"
    assert run(place, "import tempfile, ssl, multiprocessing.shared_memory as m; print(m.__name__[-6:])") == "memory"
