"""Values of two arms as the metric `mean` takes them: one of each unit, held until both arms have some. Pure."""

from typing import Any

import polars as pl

from deploy.evidence.arms import BASELINE, CANARY
from deploy.evidence.cursor import Held
from deploy.evidence.waiting import KEY

# Of one arm's values that wait for the other's; of more the oldest go, whatever they are.
MOST_HELD = 1_000


def by_unit(rows: pl.DataFrame, values: pl.Series) -> Held:
    """Return the mean value of each unit, by side, in order of arrival.

    Args:
        rows: Answers with an outcome, (n, …), with `side` and `key`.
        values: (n,); null where there is none.
    """
    given = rows.select("side", KEY).with_columns(values.alias("value")).drop_nulls()
    means = given.group_by("side", KEY, maintain_order=True).agg(pl.col("value").mean())
    parts = (means.filter(pl.col("side") == side)["value"].to_list() for side in (CANARY, BASELINE))
    canary, baseline = (tuple(part) for part in parts)
    return Held(canary=canary, baseline=baseline)


def handed(before: Held, new: Held) -> tuple[dict[str, Any], Held]:
    """Return the document of a look, and what is held for the next.

    The verdict makes differences of the values of one look, and where only one arm has some there is none to make.
    """
    canary, baseline = before.canary + new.canary, before.baseline + new.baseline
    if canary and baseline:
        return {CANARY: list(canary), BASELINE: list(baseline)}, Held()
    return {CANARY: [], BASELINE: []}, Held(canary=canary[-MOST_HELD:], baseline=baseline[-MOST_HELD:])
