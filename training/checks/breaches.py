"""From masks of broken rows to findings and to the rows that are set aside, with their reasons."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from flywheel.usecase import Action, Data
from training.checks.finding import MAX_EXAMPLES, Example, Finding, Rule, Verdict

REASON = "quarantine_reason"
SHOWN = 60  # characters of a value in an example

VERDICTS: dict[Action, Verdict] = {"off": "pass", "warn": "warn", "quarantine": "quarantine", "stop": "stop"}


@dataclass(frozen=True)
class Breach:
    """Rows (mask, n_rows) that break one rule, and what the use case says happens to them.

    `column` is None for rules on the keys. `fault` says in a few words what is wrong with such a row, `remedy` what to
    do when it stops the training.
    """

    column: str | None
    rule: Rule
    mask: pl.Series
    action: Action
    fault: str
    remedy: str

    @property
    def reason(self) -> str:
        """The words in the quarantine's reason column."""
        return self.rule if self.column is None else f"{self.rule}:{self.column}"


def row_examples(frame: pl.DataFrame, mask: pl.Series, data: Data, column: str | None) -> tuple[Example, ...]:
    """Return the first rows of a mask by their keys, with the value of `column`."""
    rows = frame.slice(0, 0) if mask.is_empty() else frame[mask.arg_true().head(MAX_EXAMPLES)]
    times = rows[data.event_time].to_list()
    entities = rows[data.entity].to_list() if data.entity is not None else [None] * rows.height
    values = [_shown(value) for value in rows[column].to_list()] if column is not None else [None] * rows.height
    return tuple(
        Example(str(time), None if entity is None else str(entity)[:SHOWN], value)
        for time, entity, value in zip(times, entities, values, strict=True)
    )


def to_finding(breach: Breach, frame: pl.DataFrame, data: Data) -> Finding:
    """Say what was broken, by how many rows, and which."""
    rows = int(breach.mask.sum())
    examples = row_examples(frame, breach.mask, data, breach.column)
    verdict = VERDICTS[breach.action]
    what = f"Column '{breach.column}' breaks" if breach.column is not None else "The rows break"
    sentence = f"{what} rule {breach.rule} in {rows:,} of {frame.height:,} rows ({breach.fault})." + (
        f" {breach.remedy}" if verdict == "stop" else ""
    )
    return Finding(
        column=breach.column,
        rule=breach.rule,
        rows=rows,
        share=rows / max(frame.height, 1),
        action=breach.action,
        verdict=verdict,
        sentence=sentence,
        examples=examples,
    )


def set_aside(frame: pl.DataFrame, breaches: Sequence[Breach]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Part the frame into clean rows and rows with reasons; nothing is lost, and order is kept in both.

    Returns:
        The clean rows (the same frame when all are), and the others with `quarantine_reason`.
    """
    parted = [breach for breach in breaches if breach.action == "quarantine"]
    if not parted:
        return frame, frame.clear().with_columns(pl.lit(None, pl.String).alias(REASON))
    bad = parted[0].mask
    for breach in parted[1:]:
        bad = bad | breach.mask
    where = bad.arg_true()
    reasons = [
        pl.when(breach.mask.gather(where)).then(pl.lit(breach.reason)).otherwise(None).alias(str(number))
        for number, breach in enumerate(parted)
    ]
    aside = frame[where]
    reason = aside.select(pl.concat_str(reasons, separator="; ", ignore_nulls=True).alias(REASON)).to_series()
    return frame.filter(~bad), aside.with_columns(reason)


def _shown(value: object) -> str:
    if value is None:
        return "missing"
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
