"""The digest that approvals bind to and loaders check: one SHA-256 over a folder's files and their names."""

import hashlib
from pathlib import Path

from flywheel.errors import IntegrityError


def folder_digest(folder: Path) -> str:
    """Return `sha256:…` over every file below `folder`, by sorted relative path and content.

    Raises:
        IntegrityError: The folder holds no file.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise IntegrityError(f"{folder} holds no file, so it has no digest. Log the model again.")
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return f"sha256:{total.hexdigest()}"
