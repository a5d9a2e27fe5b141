"""A version's feature function, loaded from its package under a name made from its content."""

import hashlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flywheel.errors import IntegrityError


def load_features(path: Path) -> Callable[[Any], Any]:
    """Return `features` of a file; two versions live in one process, since each has a name of its own.

    Raises:
        IntegrityError: The file cannot be imported or has no such function.
    """
    try:
        name = f"flywheel_features_{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
        function = _module(name, path).features
    except Exception as fault:  # the user's own code raises what it likes
        raise IntegrityError(f"Features {path} cannot be loaded: {type(fault).__name__}: {fault}.") from fault
    if not callable(function):
        raise IntegrityError(f"Features {path} have no function `features`.")
    loaded: Callable[[Any], Any] = function
    return loaded


def _module(name: str, path: Path) -> Any:
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
