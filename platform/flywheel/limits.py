"""Limits of the gates: what a candidate must keep. The policy sets them, and a use case may set stricter ones."""

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Gates that come with Flywheel; others join by entry point, under names of their own.
BUILT_IN = (
    "champion",
    "metrics",
    "slices",
    "calibration",
    "signature",
    "skew",
    "onnx",
    "latency",
    "memory",
    "size",
    "robustness",
    "licences",
    "card",
)


class Limits(BaseModel):
    """What is not set (null) is not limited by who leaves it out; together the stricter value holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    champion_margin: float | None = Field(None, description="champion: largest tolerated rise of the mean loss.")
    minimum: dict[str, float] = Field({}, description="metrics: least value by the metric's name.")
    maximum: dict[str, float] = Field({}, description="metrics: largest value by the metric's name.")
    slice_loss_ratio: float | None = Field(None, gt=0, description="slices: loss of the worst part by that of all.")
    calibration_error: float | None = Field(None, ge=0, description="calibration: largest expected error, 0 to 1.")
    skew: float | None = Field(None, ge=0, description="skew: largest difference between served and recorded answers.")
    onnx: float | None = Field(None, ge=0, description="onnx: largest difference between the two forms' answers.")
    latency_p99_ms: float | None = Field(None, gt=0, description="latency: of one row, by MLflow's own server.")
    memory_mb: float | None = Field(None, gt=0, description="memory: of MLflow's own server with the model loaded.")
    size_mb: float | None = Field(None, gt=0, description="size: of the package.")
    behaviours_failed: int | None = Field(None, ge=0, description="robustness: how many behaviours may fail.")
    licences: tuple[str, ...] | None = Field(None, description="licences: SPDX names that libraries may have.")


# Permissive licences, and weak copyleft that binds changes to the library alone.
LICENCES = (
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "HPND",
    "ISC",
    "MIT",
    "MIT-0",
    "MIT-CMU",
    "MPL-2.0",
    "PSF-2.0",
    "Python-2.0",
    "Unlicense",
    "Zlib",
)


def gate_of(field: str) -> str:
    """Return the gate that a limit is for, by the field's name: its description begins with it."""
    return str(Limits.model_fields[field].description).partition(":")[0]


class PolicyLimits(Limits):
    """A policy's limits: what it does not say has a value that a sound package keeps; null lifts a limit."""

    champion_margin: float | None = Field(0.0, description="champion: largest tolerated rise of the mean loss.")
    slice_loss_ratio: float | None = Field(3.0, gt=0, description="slices: loss of the worst part by that of all.")
    calibration_error: float | None = Field(0.1, ge=0, description="calibration: largest expected error, 0 to 1.")
    skew: float | None = Field(1e-6, ge=0, description="skew: largest difference between served and recorded answers.")
    onnx: float | None = Field(1e-5, ge=0, description="onnx: largest difference between the two forms' answers.")
    latency_p99_ms: float | None = Field(250.0, gt=0, description="latency: of one row, by MLflow's own server.")
    memory_mb: float | None = Field(2000.0, gt=0, description="memory: of MLflow's own server with the model loaded.")
    size_mb: float | None = Field(500.0, gt=0, description="size: of the package.")
    behaviours_failed: int | None = Field(0, ge=0, description="robustness: how many behaviours may fail.")
    licences: tuple[str, ...] | None = Field(LICENCES, description="licences: SPDX names that libraries may have.")

    @model_validator(mode="before")
    @classmethod
    def _of_limits(cls, value: Any) -> Any:
        # Plain limits say of every field whether it is limited, so that no default is put in.
        return value.model_dump() if isinstance(value, Limits) else value


L = TypeVar("L", bound=Limits)


def stricter(floor: L, asked: Limits) -> tuple[L, tuple[str, ...]]:
    """Join two sets of limits field by field; the result is of the floor's kind.

    Returns:
        The stricter of each, and the names of the fields in which `asked` was looser than `floor`, so that it is moot.
    """
    joined: dict[str, Any] = {}
    moot = []
    for name in Limits.model_fields:
        here, there = getattr(floor, name), getattr(asked, name)
        value = _stricter(name, here, there)
        joined[name] = value
        if here is not None and there is not None and _moot(value, there):
            moot.append(name)
    return type(floor)(**joined), tuple(moot)


def _moot(value: Any, asked: Any) -> bool:
    """Say whether some part of what was asked is not what holds."""
    if isinstance(asked, dict):
        return any(value[key] != limit for key, limit in asked.items())
    return bool(value != asked) if not isinstance(asked, tuple) else not {*asked} <= {*value}


def _stricter(name: str, here: Any, there: Any) -> Any:
    if here is None or there is None:
        return there if here is None else here
    if name == "minimum":
        return {key: max(here.get(key, there.get(key)), there.get(key, here.get(key))) for key in {*here, *there}}
    if name == "maximum":
        return {key: min(here.get(key, there.get(key)), there.get(key, here.get(key))) for key in {*here, *there}}
    if name == "licences":
        return tuple(licence for licence in here if licence in there)
    return min(here, there)
