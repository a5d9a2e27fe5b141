"""What a version answers for one row: the outputs that its contract names, each checked before a client sees it."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from flywheel.contract import Contract, Output

Outputs = Mapping[str, float | str | bool]
# Returns the value as it is answered and recorded, None where it is no value of this output.
Check = Callable[[Any], float | str | bool | None]

# `probability`, and `probability_<class>` for each of several classes.
PROBABILITY = "probability"


class OutputReader:
    """Reads the entries of a scorer's answer."""

    def __init__(self, contract: Contract) -> None:
        self._checks = [(output.name, _check_of(output.name, output.type)) for output in contract.outputs]

    def read(self, entry: Mapping[str, Any]) -> Outputs | None:
        """Return the outputs of one row in the contract's order, None where one of them is missing or impossible."""
        outputs: dict[str, float | str | bool] = {}
        for name, check in self._checks:
            value = check(entry.get(name))
            if value is None:
                return None
            outputs[name] = value
        return outputs


def _check_of(name: str, kind: str) -> Check:
    if kind == "double":
        return _probability if name.startswith(PROBABILITY) else _number
    return _text if kind == "string" else _truth


def _probability(value: Any) -> float | None:
    return float(value) if type(value) in (float, int) and 0 <= value <= 1 else None


def _number(value: Any) -> float | None:
    return float(value) if type(value) in (float, int) and math.isfinite(value) else None


def _text(value: Any) -> str | None:
    return value if type(value) is str and value else None


def _truth(value: Any) -> bool | None:
    return value if type(value) is bool else None


def column_reader(output: Output) -> Callable[[Any], list[float | str | bool | None]]:
    """Return what reads an output of many rows, (n_rows,): values as answered, None where impossible."""
    check = _check_of(output.name, output.type)
    return lambda values: [check(value) for value in values.tolist()]
