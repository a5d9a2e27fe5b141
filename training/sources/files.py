"""Local data files: which ones a path means, what identifies them, and that nobody changed them meanwhile."""

import glob
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from flywheel.errors import DataError, TransientError

END_BYTES = 65536


def find_files(folder: Path, path: str, endings: tuple[str, ...]) -> list[Path]:
    """List the files that a path means: itself, what a glob matches, or what lies in a folder, however deep.

    Args:
        folder: Relative paths start here.
        path: A file, a folder or a glob.
        endings: What counts in a folder, like `.csv`; names that begin with `.` or `_` never do.

    Raises:
        DataError: There is no such file.
    """
    place = folder / path
    if place.is_file():
        return [place]
    if place.is_dir():
        found = [file for file in place.rglob("*") if file.name.endswith(endings) and not _hidden(file, place)]
        lacks = f"Folder {place} holds no file that ends with {' or '.join(endings)}. Correct data.source."
    elif glob.has_magic(path):
        found = [Path(name) for name in glob.glob(str(place), recursive=True) if Path(name).is_file()]  # noqa: PTH207  # absolute globs too
        lacks = f"No file matches {place}. Correct data.source.path in usecase.yaml."
    else:
        raise DataError(f"Source {place} does not exist. Correct data.source.path in usecase.yaml.")
    if not found:
        raise DataError(lacks)
    return sorted(found)


def files_digest(files: Sequence[Path], folder: Path) -> str:
    """Return `sha256:…` over names, sizes, and the first and last 64 KiB of each file: cheap whatever their size."""
    total = hashlib.sha256()
    for file in files:
        name = file.relative_to(folder).as_posix() if file.is_relative_to(folder) else str(file)
        size = file.stat().st_size
        total.update(f"{name}\n{size}\n".encode())
        with file.open("rb") as content:
            total.update(content.read(END_BYTES))
            content.seek(max(0, size - END_BYTES))
            total.update(content.read(END_BYTES))
    return f"sha256:{total.hexdigest()}"


@contextmanager
def undisturbed(files: Sequence[Path]) -> Iterator[None]:
    """Hold that the files stay as they are while they are read.

    Raises:
        TransientError: One of them vanished or changed meanwhile, so that what was read may be half of each.
    """
    before = {file: _state(file) for file in files}
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as fault:
        _refuse_change(before, fault)
        raise
    _refuse_change(before, None)


def _refuse_change(before: dict[Path, tuple[int, ...] | None], cause: Exception | None) -> None:
    for file, state in before.items():
        now = _state(file)
        if now != state:
            what = "vanished" if now is None else "changed"
            raise TransientError(
                f"Source file {file} {what} while it was read. Run again when nothing writes there."
            ) from cause


def _state(file: Path) -> tuple[int, ...] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _hidden(file: Path, folder: Path) -> bool:
    """Spark and Delta keep logs and checkpoints under such names."""
    return any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)
