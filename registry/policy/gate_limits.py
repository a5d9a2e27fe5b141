"""Whether evidence is stale because a limit of its own gate was tightened since."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from flywheel.limits import Limits, gate_of, stricter


def tightened_since(gate: str, held: Mapping[str, Any], demanded: Limits) -> bool:
    """Say whether what is demanded now goes beyond what a gate's evidence was held against (`Evidence.limits`).

    Looser limits leave evidence as it is: what passed the stricter ones passes these.
    """
    fields = [name for name in Limits.model_fields if gate_of(name) == gate]
    then = _limits({name: held[name] for name in fields if name in held})
    now = Limits(**{name: getattr(demanded, name) for name in fields})
    return stricter(then, now)[0] != then


def _limits(document: Mapping[str, Any]) -> Limits:
    try:
        return Limits.model_validate(document)
    except ValidationError:  # written by another release, whose limits say nothing today
        return Limits()
