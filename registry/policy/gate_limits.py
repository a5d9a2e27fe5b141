"""Which limits belong to which gate, so that evidence is stale only when a limit of its own was tightened."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from flywheel.limits import Limits, stricter

FIELDS = {
    "champion": ("champion_margin",),
    "metrics": ("minimum", "maximum"),
    "slices": ("slice_loss_ratio",),
    "calibration": ("calibration_error",),
    "skew": ("skew",),
    "onnx": ("onnx",),
    "latency": ("latency_p99_ms",),
    "memory": ("memory_mb",),
    "size": ("size_mb",),
    "robustness": ("behaviours_failed",),
    "licences": ("licences",),
}


def tightened_since(gate: str, held: Mapping[str, Any], demanded: Limits) -> bool:
    """Say whether what is demanded now goes beyond what a gate's evidence was held against (`Evidence.limits`).

    Looser limits leave evidence as it is: what passed the stricter ones passes these.
    """
    fields = FIELDS.get(gate, ())
    then = _limits({name: held[name] for name in fields if name in held})
    now = Limits(**{name: getattr(demanded, name) for name in fields})
    return stricter(then, now)[0] != then


def _limits(document: Mapping[str, Any]) -> Limits:
    try:
        return Limits.model_validate(document)
    except ValidationError:  # written by another release, whose limits say nothing today
        return Limits()
