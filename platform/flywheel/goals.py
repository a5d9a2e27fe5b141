"""Measured figures against their targets, as the demo and the benchmarks write them with `--json`."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    ">": operator.gt,
}


@dataclass(frozen=True)
class Goal:
    """One figure, its target and whether it was met."""

    name: str
    value: float
    target: float
    comparison: str
    met: bool


def goal(name: str, value: float, comparison: str, target: float) -> Goal:
    """Compare a figure with its target."""
    return Goal(name, value, target, comparison, COMPARISONS[comparison](value, target))


def write_goals(path: Path, goals: list[Goal], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `{"goals": […], "rows": […]}`."""
    document = {"goals": [asdict(item) for item in goals], "rows": list(rows)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
