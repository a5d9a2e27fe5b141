"""Rows of a window that answer a question, and what their columns look like beside those of training. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from flywheel.errors import UsageError
from flywheel.profile import ColumnProfile
from monitoring.rows.question import ANSWERS, KNOWN, LOSS, NEW, Question

ID = "prediction_id"
SPAN = re.compile(r"^(?:≤ (?P<most>\S+)|> (?P<above>\S+)|(?P<low>\S+) to (?P<high>\S+))$")  # as slices are named
QUANTILES = (0.05, 0.5, 0.95)
MOST_VALUES = 3  # of a column of text: those whose share differs most


@dataclass(frozen=True)
class Selection:
    """What was found.

    Attributes:
        rows: That fit, in the order asked for, with the columns to be shown.
        of: Rows of the window, fitting or not.
        sentences: One on each column: here, and in training.
    """

    rows: pl.DataFrame
    of: int
    sentences: tuple[str, ...]


def select(frame: pl.DataFrame, question: Question, profiles: Mapping[str, ColumnProfile]) -> Selection:
    """Select rows.

    Args:
        frame: n_rows with `prediction_id`, `event_time`, `model_version`, `prediction`, `label`, `loss` and inputs.
        question: What is asked.
        profiles: Of columns in training, by name.

    Raises:
        UsageError: A column is not there, or cannot be sorted by.
    """
    _check(frame, question)
    own = frame.filter(pl.col("model_version") == question.version) if question.version else frame
    wanted = [_fits(own, column, value, profiles.get(column)) for column, value in question.having]
    rows = own.filter(wanted) if wanted else own
    if question.missing:
        rows = rows.filter(pl.any_horizontal(_missing(rows, name) for name in question.columns))
    if question.by not in ("", KNOWN):
        rows = rows.sort(question.by, descending=True, nulls_last=True, maintain_order=True)
    columns = {**dict.fromkeys(question.columns, ""), **dict(question.having)}
    sentences = [_beside(own[column], profiles.get(column), value) for column, value in columns.items()]
    shown = [ID, "event_time", "model_version", *ANSWERS, *(name for name in columns if name not in ANSWERS)]
    return Selection(rows.select(shown), own.height, tuple(sentences))


def _check(frame: pl.DataFrame, question: Question) -> None:
    asked = [*question.columns, *(column for column, _ in question.having), *({question.by} - {"", KNOWN})]
    for name in asked:
        if name not in frame.columns or name in (ID, "model_version"):
            known = ", ".join(one for one in frame.columns if one not in (ID, "event_time", "model_version"))
            raise UsageError(f"The rows have no column '{name}'. They have: {known}.")
    if question.missing and not question.columns:
        raise UsageError("--missing asks for rows without a value of some column. Name it with --column.")


def _missing(rows: pl.DataFrame, name: str) -> pl.Expr:
    column = pl.col(name)
    return column.is_null() | column.is_nan() if rows.schema[name].is_float() else column.is_null()


def _fits(rows: pl.DataFrame, column: str, value: str, profile: ColumnProfile | None) -> pl.Expr:
    """Say which rows have a value, one that training does not know, or lie in a span as slices name it."""
    if value == NEW:
        known = list(profile.categories) if profile is not None else []
        return ~pl.col(column).cast(pl.String).is_in(known)
    if value == "missing":
        return _missing(rows, column)
    span = SPAN.match(value)
    if span is None or not rows.schema[column].is_numeric():
        return pl.col(column).cast(pl.String) == value
    low, high = span["low"] or span["above"], span["high"] or span["most"]
    above = pl.col(column) > float(low) if low else pl.lit(value=True)
    return above & (pl.col(column) <= float(high)) if high else above


def _beside(values: pl.Series, profile: ColumnProfile | None, value: str) -> str:
    """Say what a column looks like here and in training; of text the share of `value`, '' for the commonest ones."""
    if value == NEW and profile is not None:
        unknown = values.drop_nulls().cast(pl.String)
        unknown = unknown.filter(~unknown.is_in(list(profile.categories)))
        share = len(unknown) / max(len(values), 1)
        return f"'{values.name}': {share:.1%} of the rows have values that training does not know{_most(unknown)}"
    names = [value] if value else _commonest(values)
    here = f"'{values.name}': {'; '.join(_here(values, names))}"
    return here if profile is None else f"{here}. In training: {'; '.join(_there(values, profile, names))}"


def _most(values: pl.Series) -> str:
    names = ", ".join(f"'{name}'" for name in _commonest(values))
    return f", most often {names}" if names else ""


def _commonest(values: pl.Series) -> list[str]:
    counted = values.cast(pl.String).drop_nulls().value_counts(sort=True, name="rows").head(MOST_VALUES)
    return [str(name) for name in counted[values.name].to_list()]


def _here(values: pl.Series, names: Sequence[str]) -> Iterator[str]:
    yield f"{_share_missing(values):.1%} missing"
    if values.dtype.is_numeric() and values.drop_nulls().len():
        yield _spread([float(values.drop_nans().quantile(share, "linear") or 0) for share in QUANTILES])
    elif values.dtype in (pl.String, pl.Boolean):
        texts = values.cast(pl.String)
        yield _named([(name, float((texts == name).sum()) / max(len(texts), 1)) for name in names])


def _there(values: pl.Series, profile: ColumnProfile, names: Sequence[str]) -> Iterator[str]:
    yield f"{profile.missing_share:.1%} missing"
    if profile.quantiles and values.dtype.is_numeric():
        yield _spread([profile.quantiles[round(share * (len(profile.quantiles) - 1))] for share in QUANTILES])
    elif profile.categories:
        yield _named([(name, profile.categories.get(name, 0.0)) for name in names])


def _share_missing(values: pl.Series) -> float:
    empty = values.is_null() | values.is_nan() if values.dtype.is_float() else values.is_null()
    return float(empty.mean() or 0.0)  # type: ignore[arg-type]


def _spread(quantiles: Sequence[float]) -> str:
    low, middle, high = (f"{one:.4g}" for one in quantiles)
    return f"median {middle}, nine of ten from {low} to {high}"


def _named(shares: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"'{name}' {share:.1%}" for name, share in shares) or "no value"


def ordered(question: Question) -> str:
    """Say how rows are ordered."""
    if question.by == LOSS:
        return "those with the greatest loss first"
    if question.by == KNOWN:
        return "in the order in which outcomes became known"
    return f"those with the greatest '{question.by}' first" if question.by else "the oldest first"
