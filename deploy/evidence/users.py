"""Errors by unit, for a split that is sticky by unit. Pure."""

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from deploy.evidence.arms import BASELINE, CANARY, failed
from deploy.evidence.seen import Seen
from flywheel.errors import DataError


@dataclass(frozen=True)
class Sides:
    """Which units have been sent to the canary at a step, and which to the champion."""

    canary: Seen = field(default_factory=Seen)
    baseline: Seen = field(default_factory=Seen)

    def after(self, lines: pl.DataFrame) -> "Sides":
        """Take in lines (n, …) with `side`, of the same step.

        Raises:
            DataError: A unit has been sent to both: then it is not what was randomised.
        """
        canary, baseline = (_units(lines, side) for side in (CANARY, BASELINE))
        both = [canary.filter(canary.is_in(baseline.implode()) | self.baseline.has(canary))]
        both.append(baseline.filter(self.canary.has(baseline)))
        twice = pl.concat(both).unique(maintain_order=True)
        if twice.len():
            others = f" (and {twice.len() - 1:,} others)" if twice.len() > 1 else ""
            raise DataError(
                f"Unit '{twice[0]}'{others} was sent to both arms at one step, so units are not what was randomised. "
                "Have clients send one name a user in the header that sticky.header names, or plan errors by request."
            )
        return Sides(self.canary.with_names(canary), self.baseline.with_names(baseline))


def errors_by_unit(lines: pl.DataFrame) -> dict[str, dict[str, int]]:
    """Return each side's failed requests by unit; a request without a unit was randomised by itself, and is one."""
    bad = lines.filter(failed()).select("side", who=pl.coalesce("unit", "request_id"))
    counts = bad.group_by("side", "who", maintain_order=True).len()
    parts = {side: counts.filter(pl.col("side") == side) for side in (CANARY, BASELINE)}
    return {side: dict(part.select("who", "len").iter_rows()) for side, part in parts.items()}


def shown(lines: pl.DataFrame) -> dict[str, Any]:
    """Return requests, errors and requests without a unit, by side."""
    parts = {side: lines.filter(pl.col("side") == side) for side in (CANARY, BASELINE)}
    return {
        side: {
            "requests": part.height,
            "errors": part.filter(failed()).height,
            "without_unit": part["unit"].null_count(),
        }
        for side, part in parts.items()
    }


def _units(lines: pl.DataFrame, side: str) -> pl.Series:
    return lines.filter(pl.col("side") == side)["unit"].drop_nulls().unique(maintain_order=True)
