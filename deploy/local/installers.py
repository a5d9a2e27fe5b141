"""How an environment is made from a lock, as commands: with uv, or with Python's venv and pip (`virtualenv`).

The index is the one that uv's or pip's own configuration names.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from deploy.local.locks import Lock
from flywheel.errors import StackError


def python_of(folder: Path) -> Path:
    """Return the interpreter of an environment."""
    return folder / "bin" / "python"


def with_uv(folder: Path, lock: Lock) -> Iterator[list[str]]:
    """Yield uv's commands; it finds the interpreter by itself.

    Raises:
        StackError: There is no uv.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    uv = shutil.which("uv", path=path)
    if uv is None:
        raise StackError("uv is not installed here. Install it, or set another env_manager in serving.yaml.")
    yield [uv, "venv", "--no-progress", "--python", lock.python, str(folder)]
    for requirements in filter(None, (lock.build, lock.arguments)):
        yield [uv, "pip", "install", "--no-progress", "--python", str(python_of(folder)), *requirements]


def with_pip(folder: Path, lock: Lock) -> Iterator[list[str]]:
    """Yield the commands of Python's own venv, and of pip.

    Raises:
        StackError: The lock's interpreter is not installed.
    """
    yield [str(interpreter(lock.python)), "-m", "venv", str(folder)]
    for requirements in filter(None, (lock.build, lock.arguments)):
        yield [str(python_of(folder)), "-m", "pip", "install", "--no-input", "--progress-bar", "off", *requirements]


def interpreter(version: str) -> Path:
    """Return an installed interpreter of exactly this version: ours, one on the path, or pyenv's.

    Raises:
        StackError: There is none.
    """
    minor = ".".join(version.split(".")[:2])
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions" / version / "bin" / "python"
    for found in (sys.executable, shutil.which(f"python{minor}"), str(pyenv)):
        if found is not None and _version(found) == version:
            return Path(found)
    raise StackError(
        f"Python {version}, which the version's lock names, is not installed here. Install it, "
        "or set `env_manager: uv` in serving.yaml."
    )


def _version(python: str) -> str:
    try:
        said = subprocess.run([python, "-V"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""
    return said.strip().removeprefix("Python ")


# By their names in serving.yaml.
INSTALLERS = {"uv": with_uv, "virtualenv": with_pip}
