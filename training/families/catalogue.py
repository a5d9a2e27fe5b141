"""Finds families: the built-in ones, those of entry points, and those of Python files beside the use case."""

import re
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from flywheel.errors import SpecError
from flywheel.modules import load_module
from flywheel.usecase import Task
from training.families.hist_gradient_boosting import HistGradientBoosting
from training.families.linear_models import Linear, Logistic
from training.families.protocol import Family, takes_weights
from training.families.random_forest import RandomForest
from training.families.xgboost_trees import XGBoost

GROUP = "flywheel.families"
BUILT_IN: tuple[Family, ...] = (XGBoost(), HistGradientBoosting(), RandomForest(), Logistic(), Linear())
DEFAULTS: dict[Task, tuple[str, ...]] = {
    "binary": ("xgboost", "hist_gradient_boosting", "logistic"),
    "multiclass": ("xgboost", "hist_gradient_boosting", "logistic"),
    "regression": ("xgboost", "hist_gradient_boosting", "linear"),
}
MEMBERS = ("name", "tasks", "flavor", "defaults", "suggest", "fit")


def choose_families(entries: Sequence[str] | None, task: Task, home: Path) -> tuple[Family, ...]:
    """Look up the families that a use case names.

    Args:
        entries: Names, or paths that end in `.py`; None for those that suit the task.
        task: What they must be able to do.
        home: The folder that paths are relative to.

    Raises:
        SpecError: One is unknown, unfit for the task or no family, two have one name, or none is named.
        DataError: A file cannot be imported.
    """
    entries = DEFAULTS[task] if entries is None else tuple(dict.fromkeys(entries))
    if not entries:
        raise SpecError(f"train.families: no family is named. Choose from: {', '.join(_suitable(task))}.")
    found: dict[str, Family] = {}
    for entry in entries:
        for family in _from_file(home / entry) if entry.endswith(".py") else [_named(entry, task)]:
            if task not in family.tasks:
                fit = ", ".join(sorted(family.tasks))
                raise SpecError(
                    f"train.families: '{family.name}' cannot do task {task} (it does: {fit})."
                    f" Choose from: {', '.join(_suitable(task))}."
                )
            if found.setdefault(family.name, family) is not family:
                raise SpecError(f"train.families: two families are called '{family.name}'. Rename the one in {entry}.")
    return tuple(found.values())


def check_weights(families: Sequence[Family]) -> None:
    """Refuse families that would take rows of all ages alike although they are to be weighed.

    Raises:
        SpecError: Names them.
    """
    heedless = [family.name for family in families if not takes_weights(family)]
    if heedless:
        raise SpecError(
            f"train.half_life weighs rows, and {', '.join(heedless)} does not heed FitData.weight. Leave it out, or"
            " pass the weights on to its fit and say `takes_weights = True` in the class."
        )


def find_family(families: Sequence[Family], name: str) -> Family | None:
    """Return the family of that name; None when there is none among them."""
    return next((family for family in families if family.name == name), None)


def _suitable(task: Task) -> list[str]:
    own = [family.name for family in BUILT_IN if task in family.tasks]
    return own + sorted(entry.name for entry in entry_points(group=GROUP))


def _named(name: str, task: Task) -> Family:
    own = find_family(BUILT_IN, name)
    if own is not None:
        return own
    for entry in entry_points(group=GROUP, name=name):
        try:
            loaded = entry.load()
        except Exception as fault:  # somebody's package: whatever its import raises is a fault of that package
            raise SpecError(
                f"train.families: '{name}' ({entry.value}) cannot be loaded: {type(fault).__name__}: {fault}."
                " Repair or remove that package."
            ) from fault
        return _checked(loaded, f"entry point {entry.value}")
    raise SpecError(
        f"train.families: family '{name}' is unknown. Choose from: {', '.join(_suitable(task))};"
        " or name a Python file beside usecase.yaml."
    )


def _from_file(path: Path) -> list[Family]:
    module = load_module(path, "family file")
    found = getattr(module, "FAMILIES", None) or [getattr(module, "FAMILY", None)]
    if found == [None]:
        raise SpecError(f"The family file {path} defines no FAMILY. Set FAMILY to an instance of your family's class.")
    return [_checked(family, str(path)) for family in found]


def _checked(candidate: Any, where: str) -> Family:
    family: Family = candidate() if isinstance(candidate, type) else candidate
    missing = [member for member in MEMBERS if not hasattr(family, member)]
    if missing:
        raise SpecError(f"The family of {where} has no {', '.join(missing)}. See training/families/protocol.py.")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", str(family.name)):
        raise SpecError(f"The family of {where} is called '{family.name}'. Use lower-case letters, digits and _.")
    return family
