"""The sentence of each kind of anomaly: which column, how it was, how it is."""

from collections.abc import Sequence

import polars as pl

from flywheel.profile import DataColumn
from training.checks.moved import Moved


def anomaly_sentence(members: Sequence[Moved], values: pl.Series, before: DataColumn) -> str:
    """Say the moved figures of one column and rule, largest first; `values` are the rows looked at, (n_rows,)."""
    name, effect = members[0].column, members[0].effect
    was, now = effect.before, effect.now
    if members[0].rule == "shift":
        return _shift(members[0], values, before)
    if members[0].rule == "spread":
        word = "wider" if now > was else "narrower"
        return (
            f"Column '{name}' is {word} than in the last good run: its variance, by ranks, is {now:.2f}, was {was:.2f}."
        )
    if members[0].rule == "missing rate":
        return f"Column '{name}' is missing in {now:.1%} of the rows, and in the last good run in {was:.1%}."
    if members[0].rule == "new category":
        known = "none of which" if was == 0 else f"which made {was:.1%} of"
        new = ", ".join(newcomers(values, before))
        return (
            f"Column '{name}' holds new or rare values in {now:.1%} of the rows, {known} the last good run had: {new}."
        )
    if members[0].rule == "category shift":
        parts = [f"'{one.what}' {one.effect.now:.1%}, was {one.effect.before:.1%}" for one in members[:3]]
        return f"Column '{name}' has other shares than in the last good run: {'; '.join(parts)}."
    parts = [f"with '{one.what}' {one.effect.now:.2f}, was {one.effect.before:.2f}" for one in members[:3]]
    return f"Column '{name}' goes together with others differently than in the last good run: {'; '.join(parts)}."


def newcomers(values: pl.Series, before: DataColumn) -> list[str]:
    """Return the three most frequent values that the last good run did not list, quoted."""
    text = values.drop_nulls().cast(pl.String)
    new = text.filter(~text.is_in(list(before.categories))).value_counts(sort=True, name="rows").head(3)
    return [repr(value[:40]) for value in new[values.name].to_list()]


def _shift(moved: Moved, values: pl.Series, before: DataColumn) -> str:
    effect = moved.effect
    way = "up" if effect.now > effect.before else "down"
    typical = values.cast(pl.Float64).median()
    old = before.quantiles[len(before.quantiles) // 2]
    median = f": its median is {typical:.4g}, was {old:.4g}" if isinstance(typical, float) else ""
    return (
        f"Column '{moved.column}' moved {way} by {effect.size:.2f} standard deviations since the last good run{median}."
    )
