"""Loads a user's Python file under a name made from its content, so that two versions live in one process."""

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from flywheel.errors import DataError


def load_module(path: Path, kind: str) -> ModuleType:
    """Import the file at `path`; `kind` says in messages what it is ("source", "feature function").

    Raises:
        DataError: The file is missing or fails while it is imported.
    """
    try:
        content = path.read_bytes()
    except OSError as fault:
        raise DataError(
            f"The {kind} {path} cannot be read: {fault.strerror}. Correct its path in usecase.yaml."
        ) from fault
    name = f"flywheel_{path.stem}_{hashlib.sha256(content).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise DataError(f"The {kind} {path} is no Python file. Give it the ending .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as fault:  # the user's own code: whatever it raises is a fault of that file
        del sys.modules[name]
        raise DataError(
            f"The {kind} {path} cannot be imported: {type(fault).__name__}: {fault}. Correct the file."
        ) from fault
    return module
