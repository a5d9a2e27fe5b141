"""The declared safe default: the same answer for every row, so that there is one when no version can give any.

Rows are validated and recorded as ever; what the answer is stands in serving.yaml, and must be one that the package's
contract knows.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deploy.agent.outputs import PROBABILITY, OutputReader, Outputs
from flywheel.contract import Contract, ValidRow, read_contract
from flywheel.errors import SpecError
from flywheel.package import INSIDE

# What a person may write for it: a number, a class, or each output by name.
Declared = float | str | Mapping[str, float | str | bool]
CERTAIN = 1.0


class Constant:
    """Answers every row alike; never fails."""

    width = 1
    remote = False

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs

    async def __aenter__(self) -> Self:
        """Nothing is to be opened."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is to be closed."""

    async def score(self, rows: list[ValidRow], timeout: float, traceparent: str | None = None) -> list[Outputs | None]:
        """Return the answer once a row (n_rows)."""
        return [self._outputs] * len(rows)

    async def answers(self, timeout: float) -> bool:
        """It is always there."""
        return True


def declared_outputs(package: Path, declared: Declared) -> Outputs:
    """Return what is answered for each row, given the folder of the version whose stand-in it is.

    A number is the probability, or the predicted number; the decision follows from the version's own threshold. A text
    is the predicted class, which then is certain. What follows from neither has to be given by name.

    Raises:
        SpecError: It is no answer that this version could give.
        IntegrityError: The contract is missing or damaged.
    """
    contract = read_contract(package / INSIDE / "contract.json")
    names = [output.name for output in contract.outputs]
    given = dict(declared) if isinstance(declared, Mapping) else _implied(package, declared, contract)
    if unknown := sorted(given.keys() - set(names)):
        raise SpecError(f"fallback.answer: {_outputs(names)}, and '{unknown[0]}' is none of it. Correct it.")
    if missing := [name for name in names if name not in given]:
        example = "{" + ", ".join(f"{name}: …" for name in names) + "}"
        raise SpecError(f"fallback.answer: {declared!r} leaves '{missing[0]}' open. Give each: {example}.")
    outputs = OutputReader(contract).read(given)
    if outputs is None:
        raise SpecError(f"fallback.answer: {declared!r} is nothing that this version could answer. {_types(contract)}")
    return outputs


def _implied(package: Path, declared: float | str, contract: Contract) -> dict[str, Any]:
    names = [output.name for output in contract.outputs]
    if isinstance(declared, str):
        return _certain(declared, names)
    found: dict[str, Any] = {name: declared for name in (PROBABILITY, "prediction") if name in names}
    if "decision" in names and (threshold := decision_threshold(package)) is not None:
        found["decision"] = declared >= threshold
    return found


def _certain(declared: str, names: list[str]) -> dict[str, Any]:
    chances = {name: 0.0 for name in names if name.startswith(f"{PROBABILITY}_")}
    if not chances:
        raise SpecError(f"fallback.answer: '{declared}' is no number, and {_outputs(names)}. Give a number.")
    if (chosen := f"{PROBABILITY}_{declared}") not in chances:
        classes = ", ".join(name.removeprefix(f"{PROBABILITY}_") for name in chances)
        raise SpecError(f"fallback.answer: '{declared}' is no class of this version. Its classes: {classes}.")
    return {"prediction": declared, **chances, chosen: CERTAIN}


def decision_threshold(package: Path) -> float | None:
    """Return from which probability on the version decides for yes; None where its package does not say."""
    try:
        threshold = json.loads((package / INSIDE / "decision.json").read_text())["threshold"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return float(threshold) if isinstance(threshold, (int, float)) else None


def _outputs(names: list[str]) -> str:
    return f"this version answers {', '.join(names)}"


def _types(contract: Contract) -> str:
    kinds = {"double": "a number", "string": "a text", "boolean": "true or false"}
    told = (
        f"{output.name} is {'0 to 1' if output.name.startswith(PROBABILITY) else kinds[output.type]}"
        for output in contract.outputs
    )
    return f"{', '.join(told)}."
