"""What a version's environment is made from: the lock in its package, and the digest by which versions share it.

MLflow writes `python_env.yaml` (interpreter, build tools, requirements), `requirements.txt` and `conda.yaml` beside the
model; our packages add `requirements.lock`, every library behind a prediction, whose versions bind. A `uv.lock` that
MLflow copies from the folder it trained in does not count: it locks a project, not a model.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError

from flywheel.errors import SpecError
from flywheel.package import INSIDE
from flywheel.serving import EnvManager

NAME = "python_env.yaml"
# All that the environment depends on; constraints.txt is what a requirements.txt of MLflow may name.
FILES = (NAME, "conda.yaml", "requirements.txt", "constraints.txt", str(INSIDE / "requirements.lock"))


class _PythonEnv(BaseModel):
    """MLflow's python_env.yaml."""

    python: str
    build_dependencies: list[str] = []
    dependencies: list[str] = []


@dataclass(frozen=True)
class Lock:
    """One package's lock.

    Args:
        python: Version of the interpreter.
        build: Requirements that are installed first.
        arguments: What an installer is told to install: requirements, `-r FILE` and `-c FILE`.
    """

    python: str
    build: tuple[str, ...]
    arguments: tuple[str, ...]


def environment_digest(package: Path, manager: EnvManager) -> str:
    """Return the name of the environment that a package wants; the same for all with the same lock."""
    told = hashlib.sha256(manager.encode())
    for path in [*(package / name for name in FILES), *_own(package)]:
        content = path.read_bytes() if path.is_file() else b""
        told.update(f"\n{path.relative_to(package)} {path.is_file()} {len(content)}\n".encode() + content)
    return told.hexdigest()[:16]


def builder_log(home: Path, digest: str) -> Path:
    """Return where the builder of an environment writes."""
    return home / "logs" / f"environment-{digest}.log"


def _own(package: Path) -> list[Path]:
    """Return the files that the requirements take from the package itself, as the wheels that MLflow can add to it."""
    path = package / "requirements.txt"
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    named = [package / line.strip().removeprefix("-e ") for line in lines if "/" in line and "://" not in line]
    inside = [one for one in named if one.resolve().is_relative_to(package.resolve())]
    return sorted(file for one in inside for file in ([one] if one.is_file() else one.rglob("*")) if file.is_file())


def read_lock(package: Path) -> Lock:
    """Read a package's lock.

    Raises:
        SpecError: The package has none, or one that says nothing that can be installed.
    """
    path = package / NAME
    try:
        found = _PythonEnv.model_validate(yaml.safe_load(path.read_text()))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as fault:
        first = str(fault).splitlines()[0]
        raise SpecError(
            f"Lock {path} cannot be used: {first}. "
            "Train the version again, or set `env_manager: local` in serving.yaml."
        ) from fault
    arguments = [word for line in found.dependencies for word in _words(line, package)]
    bound = package / INSIDE / "requirements.lock"
    arguments += ["-c", str(bound)] if bound.is_file() else []
    return Lock(found.python, tuple(found.build_dependencies), tuple(arguments))


def _words(line: str, package: Path) -> list[str]:
    """Return a dependency as an installer's arguments; the file of `-r` and `-c` lies in the package."""
    option, _, name = line.partition(" ")
    return [option, str(package / name.strip())] if option in {"-r", "-c"} else [line]
