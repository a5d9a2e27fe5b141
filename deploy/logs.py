"""The logs of a use case's versions, one a process: HOME/logs/<agent|scorer>-<use case>-v<version>[-<number>].log."""

import re
from collections.abc import Iterator
from pathlib import Path

from flywheel.errors import UsageError

NAME = re.compile(r"(?P<kind>agent|scorer)-(?P<usecase>.+)-v(?P<version>\d+)(-(?P<number>\d+))?")


def version_logs(folder: Path, usecase: str, version: str | None) -> list[Path]:
    """Return the logs of a use case's versions, by version and name.

    Args:
        folder: HOME/logs.
        usecase: Its name.
        version: One of them; None: all.

    Raises:
        UsageError: There is none.
    """
    found = [(match, path) for path in folder.glob("*.log") if (match := NAME.fullmatch(path.stem)) is not None]
    mine = [(int(match["version"]), path) for match, path in found if match["usecase"] == usecase]
    chosen = sorted((number, path.stem, path) for number, path in mine if version in {None, str(number)})
    if not chosen:
        of = f"Version {version} of '{usecase}'" if version is not None else f"Use case '{usecase}'"
        raise UsageError(f"{of} has written no log in {folder}. `flywheel status` shows what runs.")
    return [path for *_, path in chosen]


def told(paths: list[Path], lines: int) -> Iterator[str]:
    """Yield the last lines of each log, under its path."""
    for path in paths:
        yield f"==> {path} <=="
        yield from path.read_text(errors="replace").splitlines()[-lines:]
