"""Units as they were measured: a table of rows checked, and brought to one row a unit.

    unit, arm                 text
    time                      when it was assigned, naive UTC; null where the table has no times
    known                     when its measures were complete; `time` in a table, which holds what is complete
    covariate                 number; 0 without one
    one column a measure      by its name in the plan: number, null where the unit was not measured

Units that were seen in several arms are in none: they are counted apart.
"""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from deploy.experiments.measures import Conversion, Cost, Measure, Revenue
from deploy.experiments.plan import Experiment
from deploy.experiments.words import one_line
from flywheel.errors import UsageError
from flywheel.time_text import times_of

TIME = pl.Datetime("us")
LARGEST = 1e12  # squares of such values still add up


@dataclass(frozen=True)
class Units:
    """Units of an experiment.

    Args:
        frame: One row a unit, sorted by time and unit.
        contaminated: When each unit that was seen in several arms was first seen in its last one; null without times.
        as_of: Naive UTC; until when the units are known. None: all that the frame holds is known.
    """

    frame: pl.DataFrame
    contaminated: pl.Series
    as_of: datetime | None = None


def units_of_table(plan: Experiment, table: pl.DataFrame, source: str) -> Units:
    """Check a table with columns unit, arm, and those of the plan's measures, and optionally time and covariate_time.

    Args:
        plan: Names columns and arms.
        table: (n_rows,); several rows of a unit are put together as each measure says.
        source: What messages call it.

    Raises:
        UsageError: A column is missing or of the wrong kind, or a row says something impossible; one sentence.
    """
    wanted = ["unit", "arm", *plan.columns().values(), *([plan.covariate.column] if plan.covariate else [])]
    _check_columns(table, wanted, source)
    measures = plan.measures()
    rows = table.select(
        _text(table, "unit", source),
        _text(table, "arm", source),
        _time(table, "time", source),
        _time(table, "covariate_time", source),
        _covariate(plan, table, source),
        *(_numbers(table, column, source).alias(f"m:{name}") for name, column in plan.columns().items()),
    )
    _check_rows(plan, rows, source)
    for name, measure in measures.items():
        if isinstance(measure, Conversion):
            wrong = ~pl.col(f"m:{name}").is_in([0.0, 1.0])
            _refuse(rows, wrong, source, f"has a {plan.columns()[name]} that is neither 0 nor 1", "Correct it")
    return once(rows.with_columns(known=pl.col("time")).drop("covariate_time"), measures)


def once(rows: pl.DataFrame, measures: dict[str, Measure]) -> Units:
    """Bring rows to one a unit; measures are in columns `m:NAME`."""
    firsts = rows.group_by("unit", "arm").agg(pl.col("time").min())
    doubled = firsts.group_by("unit").agg(pl.len().alias("arms"), pl.col("time").max()).filter(pl.col("arms") > 1)
    clean = rows.join(doubled, on="unit", how="anti")
    frame = clean.group_by("unit", "arm").agg(
        pl.col("time").min(),
        pl.col("known").max(),
        pl.col("covariate").first(),
        *(_together(measure, pl.col(f"m:{name}")).alias(f"m:{name}") for name, measure in measures.items()),
    )
    return Units(frame.sort("time", "unit"), doubled["time"].sort())


def _together(measure: Measure, column: pl.Expr) -> pl.Expr:
    """Put a unit's rows together; null where none of them was measured. Sorted, so that no order of rows matters."""
    rows = column.drop_nulls().sort()
    match measure:
        case Conversion():
            return rows.max()
        case Revenue(cap=cap):
            total = rows.sum().clip(-cap, cap)
        case Cost():
            total = rows.sum()
        case _:
            return rows.mean()
    return pl.when(column.is_not_null().any()).then(total)


def _check_columns(table: pl.DataFrame, wanted: list[str], source: str) -> None:
    for name in wanted:
        if name not in table.columns:
            raise UsageError(f"{source}: column '{name}' is missing. It needs {', '.join(dict.fromkeys(wanted))}.")
    if not table.height:
        raise UsageError(f"{source} has no rows. Give one row a unit.")


def _check_rows(plan: Experiment, rows: pl.DataFrame, source: str) -> None:
    _refuse(rows, pl.col("unit").is_null(), source, "has no unit", "Name it")
    unknown = rows.filter(~pl.col("arm").is_in(list(plan.shares)) | pl.col("arm").is_null())
    if unknown.height:
        raise UsageError(
            f"{source}: arm '{one_line(str(unknown['arm'][0]))}' is not in the plan ({unknown.height} such rows)."
            f" It has {', '.join(plan.shares)}."
        )
    present = set(rows["arm"].unique())
    for arm in plan.shares:
        if arm not in present:
            raise UsageError(f"{source}: arm '{arm}' is empty. Give its units, or take it out of the plan.")
    late = pl.col("covariate_time") > pl.col("time")
    _refuse(
        rows, late.fill_null(value=False), source, "has a covariate from after its assignment", "Take one from before"
    )
    two = rows.group_by("unit").agg(pl.col("covariate").n_unique().alias("values")).filter(pl.col("values") > 1)
    if two.height:
        unit = two["unit"].sort()[0]
        raise UsageError(
            f"{source}: unit '{one_line(unit)}' has several covariates ({two.height} such units). Give it one."
        )


def _covariate(plan: Experiment, table: pl.DataFrame, source: str) -> pl.Series:
    if plan.covariate is None:
        return pl.Series("covariate", [0.0]).new_from_index(0, table.height)
    return _numbers(table, plan.covariate.column, source).alias("covariate")


def _numbers(table: pl.DataFrame, name: str, source: str) -> pl.Series:
    column = table[name]
    if not column.dtype.is_numeric() and column.dtype != pl.Boolean:
        raise UsageError(f"{source}: column '{name}' must be numbers, not {_kind(column)}. Convert it.")
    numbers = column.cast(pl.Float64)
    if not numbers.count():
        raise UsageError(f"{source}: column '{name}' has no data. Fill it, or take it out of the plan.")
    wrong = ~numbers.is_finite().fill_null(value=False)
    _refuse(table, wrong, source, f"has no finite {name}", "Fill it, or leave the unit's row out in every arm alike")
    _refuse(table, numbers.abs() > LARGEST, source, f"has a {name} beyond ± {LARGEST:g}", "Correct it")
    return numbers


def _text(table: pl.DataFrame, name: str, source: str) -> pl.Series:
    column = table[name]
    if isinstance(column.dtype, pl.Categorical | pl.Enum):
        column = column.cast(pl.String)
    if column.dtype != pl.String and not column.dtype.is_integer():
        raise UsageError(f"{source}: column '{name}' must be text or whole numbers, not {_kind(column)}. Convert it.")
    return column.cast(pl.String)


def _time(table: pl.DataFrame, name: str, source: str) -> pl.Series:
    """Return times as naive UTC; nulls where the table has no such column."""
    if name not in table.columns:
        return pl.Series(name, [None], dtype=TIME).new_from_index(0, table.height)
    column = table[name]
    if column.dtype == pl.String:
        zoned = column.str.strip_chars().str.replace(r"Z$", "+00:00")
        plain = times_of(zoned, "UTC")
        column = plain.zip_with(
            plain.is_not_null(), zoned.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
        )
    if column.dtype == pl.Date:
        column = column.cast(TIME)
    if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is not None:
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if not isinstance(column.dtype, pl.Datetime):
        raise UsageError(f"{source}: column '{name}' must be times, not {_kind(column)}. Write them in ISO 8601.")
    _refuse(table, column.is_null(), source, f"has no {name} in ISO 8601", "Write it like 2026-01-31T10:00:00Z")
    return column.cast(TIME).alias(name)


def _kind(column: pl.Series) -> str:
    return "text" if column.dtype == pl.String else str(column.dtype)


def _refuse(rows: pl.DataFrame, wrong: pl.Expr | pl.Series, source: str, what: str, remedy: str) -> None:
    found = rows.select(wrong.alias("wrong"))["wrong"].arg_true()
    if found.len():
        raise UsageError(f"{source}: row {found[0] + 1} {what} ({found.len()} such rows). {remedy}.")
