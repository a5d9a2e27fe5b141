"""The environment of a prediction: which libraries scoring needs, and the version of each and of all they need."""

import importlib
from collections import deque
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# What the model's own code imports. What stores a family's models is asked of its MLflow flavour.
SCORING = ("mlflow", "numpy", "pandas", "polars", "pyarrow")
# Flavours whose models answer through scikit-learn's interface, which they do not ask for themselves.
LIKE_SKLEARN = ("xgboost", "lightgbm", "catboost")
# The same library in other builds, by the name that MLflow's flavours ask for.
BUILDS = {"xgboost": "xgboost-cpu"}
HEADER = "# Every library behind a prediction as installed where the model was trained (Python {python}).\n"


def scoring_requirements(flavor: str) -> list[str]:
    """Return `name==version` of what MLflow must install to score with a model of that flavour."""
    module = importlib.import_module(f"mlflow.{flavor}")
    options = {"include_skops": True} if flavor == "sklearn" else {}
    names = [Requirement(line).name for line in module.get_default_pip_requirements(**options)]
    more = ["scikit-learn"] if flavor in LIKE_SKLEARN else []
    found = (_installed(name) for name in dict.fromkeys([*SCORING, *names, *more]))
    return [f"{part.name}=={part.version}" for part in found if part is not None]


def environment_lock(requirements: Iterable[str], python: str) -> str:
    """Return requirements.lock: the requirements and all that they need, at the versions installed, one a line.

    Args:
        requirements: `name==version` of what scoring needs; what is not installed is left out.
        python: The interpreter's version, told in the first line.
    """
    lines = sorted(f"{canonicalize_name(part.name)}=={part.version}" for part in _closure(requirements))
    return HEADER.format(python=python) + "\n".join(lines) + "\n"


def _closure(requirements: Iterable[str]) -> Iterator[Distribution]:
    waiting = deque(Requirement(line) for line in requirements)
    seen: set[tuple[str, frozenset[str]]] = set()
    told: set[str] = set()
    while waiting:
        wanted = waiting.popleft()
        key = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if key in seen or (part := _installed(wanted.name)) is None:
            continue
        seen.add(key)
        if part.name not in told:
            told.add(part.name)
            yield part
        for line in part.requires or ():
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *wanted.extras)):
                waiting.append(needed)


def _installed(name: str) -> Distribution | None:
    for known in (name, BUILDS.get(name, name)):
        try:
            return distribution(known)
        except PackageNotFoundError:
            continue
    return None
