"""Builds one environment from a package's lock, in a process of its own.

    python -m deploy.local.building --root HOME/environments --digest D --package DIR --manager uv|virtualenv

Who builds holds `<digest>.lock`, and so does every process it starts: what a killed builder left running is waited for.
An environment cannot be moved once it is made, so it is built in its place, and `ready.json`, which is renamed into
place last, says that it is whole. What has none is removed and built again. The index is the one that uv's or pip's own
configuration names.
"""

import argparse
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy.local.installers import INSTALLERS, python_of
from deploy.local.locks import read_lock
from flywheel.connections import write_private
from flywheel.errors import FlywheelError, StackError

READY = "ready.json"
FAULT = re.compile(r"\s*(error:|ERROR:|× )")  # how uv and pip begin the line that says what is wrong


def main(arguments: Sequence[str] | None = None) -> int:
    """Build unless that is done; return the exit code. The last line on stderr is the reason of a failure."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.building", description="Build an environment.")
    parser.add_argument("--root", type=Path, required=True, help="folder of all environments")
    parser.add_argument("--digest", required=True, help="name of this one")
    parser.add_argument("--package", type=Path, required=True, help="a model folder with its lock")
    parser.add_argument("--manager", choices=tuple(INSTALLERS), required=True)
    options = parser.parse_args(arguments)
    options.root.mkdir(parents=True, exist_ok=True)
    try:
        with locked(options.root / f"{options.digest}.lock") as held:
            build(options.root / options.digest, options.package, options.manager, held)
    except FlywheelError as fault:
        sys.stderr.write(f"{fault}\n")
        return fault.exit_code
    return 0


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Yield a descriptor that holds this lock, once nobody else does, the children of a killed holder included."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def is_whole(folder: Path) -> bool:
    """Say whether an environment is ready, and the interpreter that it leads to still there."""
    return (folder / READY).is_file() and python_of(folder).exists()


def build(folder: Path, package: Path, manager: str, held: int) -> None:
    """Build the environment of a package in a folder; nothing happens where it is ready.

    Args:
        folder: Where it will stand.
        package: The model folder.
        manager: `uv` or `virtualenv`.
        held: Descriptor of the lock, which each command inherits.

    Raises:
        FlywheelError: It cannot be built; nothing is left of it.
    """
    if is_whole(folder):
        return
    shutil.rmtree(folder, ignore_errors=True)
    lock = read_lock(package)
    try:
        for command in INSTALLERS[manager](folder, lock):
            _run(command, package, held)
    except FlywheelError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    told = {"manager": manager, "python": lock.python, "requirements": list(lock.arguments)}
    write_private(folder / READY, json.dumps(told, indent=1))


def _run(command: list[str], package: Path, held: int) -> None:
    """Run a command whose words go to the log; of a failure the line that says why is told."""
    hidden = {"PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME"}  # ours, and none of the environment's business
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    # Bytecode in the package would change its digest; a caller's narrow terminal would break uv's sentences.
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "1000"}
    process = subprocess.Popen(
        command,
        cwd=package,  # what requirements name by a relative path lies there
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(held,),
        text=True,
        errors="replace",
    )
    lines = list[str]()
    with process:
        for line in process.stdout or ():
            sys.stdout.write(line)
            sys.stdout.flush()
            lines.append(line.rstrip())
    if process.returncode != 0:
        raise StackError(reason(lines) or f"{Path(command[0]).name} ended with {process.returncode}.")


def reason(lines: Sequence[str]) -> str:
    """Return the sentence in which uv or pip says what is wrong; else the last line; '' where nothing was said."""
    said = [line for line in lines if line.strip()]
    first = next((index for index, line in enumerate(said) if FAULT.match(line)), len(said) - 1)
    # uv tells the cause in the lines after.
    causes = [line for line in said[first + 1 : first + 3] if line.lstrip().startswith(("cause:", "╰─▶", "Caused by:"))]
    return " ".join(" ".join(line.split()) for line in [*said[max(first, 0) : first + 1], *causes])


if __name__ == "__main__":
    sys.exit(main())
