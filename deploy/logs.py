"""The logs of a use case's versions, one a process: HOME/logs/<agent|scorer>-<use case>-v<version>[-<number>].log.

An environment is its lock's, so its builder's log names no version: which have that lock is asked of their packages.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from deploy.local.locks import builder_log, environment_digest
from flywheel.errors import UsageError
from flywheel.serving import EnvManager

NAME = re.compile(r"(?P<kind>agent|scorer)-(?P<usecase>.+)-v(?P<version>\d+)(-(?P<number>\d+))?")


def version_logs(home: Path, usecase: str, version: str | None) -> list[Path]:
    """Return the logs of a use case's versions, by version and name; of their environments the builders'.

    Args:
        home: The home.
        usecase: Its name.
        version: One of them; None: all.

    Raises:
        UsageError: There is none.
    """
    folder = home / "logs"
    found = [(match, path) for path in folder.glob("*.log") if (match := NAME.fullmatch(path.stem)) is not None]
    mine = [(int(match["version"]), path) for match, path in found if match["usecase"] == usecase]
    mine += _builders(home, usecase)
    chosen = sorted((number, path.stem, path) for number, path in mine if version in {None, str(number)})
    if not chosen:
        of = f"Version {version} of '{usecase}'" if version is not None else f"Use case '{usecase}'"
        raise UsageError(f"{of} has written no log in {folder}. `flywheel status` shows what runs.")
    return [path for *_, path in chosen]


def _builders(home: Path, usecase: str) -> Iterator[tuple[int, Path]]:
    """Yield the builders' logs of the environments that a use case's packages here ask for, with their versions."""
    for package in (home / "packages" / usecase).glob("*-*"):
        number = package.name.partition("-")[0]
        if package.is_dir() and number.isdecimal():
            logs = {builder_log(home, environment_digest(package, manager)) for manager in get_args(EnvManager)}
            yield from ((int(number), log) for log in logs if log.is_file())


def told(paths: list[Path], lines: int) -> Iterator[str]:
    """Yield the last lines of each log, under its path."""
    for path in paths:
        yield f"==> {path} <=="
        yield from path.read_text(errors="replace").splitlines()[-lines:]
