"""Errors by unit, for a split that is sticky by unit. Pure."""

from typing import Any

import polars as pl

from deploy.evidence.arms import BASELINE, CANARY, failed
from deploy.evidence.meeting import joined, shared
from flywheel.errors import DataError

# What is remembered of units: which side each has been on.
NO_UNITS = pl.DataFrame(schema={"who": pl.String, "side": pl.String})


def sides_of_units(lines: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Return which arm each unit has been in (columns who, side), after these lines of the same step.

    Raises:
        DataError: A unit has been in both: then it is not what was randomised.
    """
    named = (
        lines.filter(pl.col("unit").is_not_null())
        .select("side", who="unit")
        .select("who", "side")
        .unique(maintain_order=True)
    )
    seen, _ = shared(before, named, ["who"])
    together = pl.concat([seen, named]).unique(maintain_order=True)
    twice = together.filter(pl.col("who").is_duplicated())["who"]
    if twice.len():
        others = f" (and {twice.n_unique() - 1:,} others)" if twice.n_unique() > 1 else ""
        raise DataError(
            f"Unit '{twice[0]}'{others} was sent to both arms at one step, so units are not what was randomised. "
            "Have clients send one name a user in the header that sticky.header names, or plan errors by request."
        )
    return joined(before, named.join(seen, on="who", how="anti"))


def errors_by_unit(lines: pl.DataFrame) -> dict[str, dict[str, int]]:
    """Return each arm's failed requests by unit; a request without a unit was randomised by itself, and is one."""
    bad = lines.filter(failed()).select("side", who=pl.coalesce("unit", "request_id"))
    counts = bad.group_by("side", "who", maintain_order=True).len()
    parts = {side: counts.filter(pl.col("side") == side) for side in (CANARY, BASELINE)}
    return {side: dict(part.select("who", "len").iter_rows()) for side, part in parts.items()}


def shown(lines: pl.DataFrame) -> dict[str, Any]:
    """Return requests, errors and requests without a unit, by arm."""
    parts = {side: lines.filter(pl.col("side") == side) for side in (CANARY, BASELINE)}
    return {
        side: {
            "requests": part.height,
            "errors": part.filter(failed()).height,
            "without_unit": part["unit"].null_count(),
        }
        for side, part in parts.items()
    }
