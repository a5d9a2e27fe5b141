"""What left the last good run's data: shifts, missing values, new categories, columns that no longer go together.

The rows looked at are those later than the last run's newest; when there are too few of them, all rows. A column is
named when one of its figures (see `flywheel.profile.DataColumn`) moved by at least the least effect below *and* days
would move so far by chance in at most 1 % of checks, over all columns and figures together.
"""

from collections.abc import Callable, Iterator
from itertools import combinations

import polars as pl

from flywheel.contract import Column, Contract
from flywheel.profile import DataColumn, DataProfile, DayStatistic
from flywheel.statistics import Floats
from flywheel.usecase import Data
from training.checks.breaches import row_examples
from training.checks.comparison import compare_distributions
from training.checks.days import ColumnDays, Days, column_days, day_statistic, days_of, sample_rows
from training.checks.evidence import LEVEL, MIN_DAYS, NO_EVIDENCE, Effect, compare_days
from training.checks.finding import Finding, Rule, Verdict
from training.checks.moved import LEAST, Moved
from training.checks.profiling import standardised
from training.checks.sentences import anomaly_sentence

MIN_NEW_ROWS = 200


def new_rows(frame: pl.DataFrame, event_time: str, last: DataProfile) -> pl.DataFrame:
    """Return the rows later than the last run's newest, or all rows when those are fewer than `MIN_NEW_ROWS`."""
    times = frame[event_time]
    if times.is_sorted():
        first = times.search_sorted(last.end, side="right")
        new = frame.slice(int(first))  # no copy
    else:
        new = frame.filter(times > last.end)
    return new if new.height >= MIN_NEW_ROWS else frame


def find_anomalies(
    rows: pl.DataFrame, contract: Contract, data: Data, last: DataProfile, verdict: Verdict
) -> list[Finding]:
    """Hold rows (n_rows by (event time, inputs, entity, …)) against the last good run's profile."""
    before = {column.name: column for column in last.columns}
    keys = [] if data.entity is None else [data.entity]
    sample = sample_rows(rows.select(*(column.name for column in contract.columns), *keys))
    if not sample[contract.event_time].is_sorted():
        sample = sample.sort(contract.event_time)
    days = days_of(sample[contract.event_time])
    shared = [column for column in contract.columns if _same(column, before) and column.name != contract.event_time]
    names = [column.name for column in shared]
    now = {name: column_days(sample[name], before[name].type, days, before[name]) for name in names}
    moved = [one for name in names for one in _compare_column(before[name], now[name], last.days)]
    moved.extend(_compare_pairs(now, days, last))
    level = LEVEL / max(len(moved), 1)
    alarms = [one for one in moved if _alarms(one, level, last.days)]
    shifted = {one.column for one in alarms if one.rule == "shift"}
    # Places that moved have a larger square too: saying both would say one thing twice.
    alarms = [one for one in alarms if one.rule != "spread" or one.column not in shifted]
    return [*_changed_columns(contract, before, verdict), *_findings(alarms, (rows, sample), data, before, verdict)]


def _same(column: Column, before: dict[str, DataColumn]) -> bool:
    return column.name in before and before[column.name].type == column.type


def _compare_column(before: DataColumn, now: ColumnDays, days_before: int) -> Iterator[Moved]:
    def moved(rule: Rule, old: DayStatistic, new: Floats, what: str = "") -> Moved:
        return Moved(before.name, rule, compare_days(old, days_before, day_statistic(new), len(new)), what)

    yield moved("missing rate", before.missing, now.missing)
    yield from _compare_numbers(before, now, moved)
    for name, share in before.shares.items():
        yield moved("category shift", share, now.shares[name], name)
    if before.other is not None and now.other is not None:
        yield moved("new category", before.other, now.other)


def _compare_numbers(before: DataColumn, now: ColumnDays, moved: Callable[..., Moved]) -> Iterator[Moved]:
    if before.location is not None and now.location is not None and len(now.location):
        yield moved("shift", before.location, now.location)
    if before.spread is not None and now.spread is not None and len(now.spread):
        yield moved("spread", before.spread, now.spread)


def _compare_pairs(now: dict[str, ColumnDays], days: Days, last: DataProfile) -> Iterator[Moved]:
    """Compare correlations; only pairs that moved far enough are judged by their days, as each costs a pass."""
    unit = {name: standardised(one.places) for name, one in now.items() if one.places is not None}
    known = [(place, name) for place, name in enumerate(last.paired) if name in unit]
    if len(known) < 2 or len(days.rows) < MIN_DAYS:
        return
    for (i, first), (j, second) in combinations(known, 2):
        old, products = last.together[i][j], unit[first] * unit[second]
        effect = Effect(old, float(products.mean()), 1.0)
        if effect.size >= LEAST["correlation"]:
            figures = day_statistic(days.means(products))
            was = DayStatistic(mean=old, sd=figures.sd, autocorrelation=figures.autocorrelation)
            effect = compare_days(was, last.days, figures, len(days.rows))
        yield Moved(first, "correlation", effect, second)


def _alarms(moved: Moved, level: float, days_before: int) -> bool:
    least = LEAST[moved.rule]
    if days_before < MIN_DAYS:
        return moved.effect.size >= NO_EVIDENCE * least
    return moved.effect.size >= least and moved.effect.p <= level


def _changed_columns(contract: Contract, before: dict[str, DataColumn], verdict: Verdict) -> Iterator[Finding]:
    now = {column.name: column.type for column in contract.columns}
    for name, column in before.items():
        if name not in now:
            sentence = f"Column '{name}' is gone: the last good run had it. Bring it back, or expect a major version."
            yield Finding(name, "columns", 0, 0.0, verdict, verdict, sentence)
        elif now[name] != column.type:
            sentence = f"Column '{name}' is {now[name]} and was {column.type} in the last good run. Correct the source."
            yield Finding(name, "type", 0, 0.0, verdict, verdict, sentence)
    for name in now.keys() - before.keys():
        sentence = f"Column '{name}' is new since the last good run. Exclude it if it should be no input."
        yield Finding(name, "columns", 0, 0.0, verdict, verdict, sentence)


def _findings(
    alarms: list[Moved],
    frames: tuple[pl.DataFrame, pl.DataFrame],
    data: Data,
    before: dict[str, DataColumn],
    verdict: Verdict,
) -> Iterator[Finding]:
    """Say each column's alarms of one rule in one finding, largest change first; frames are all rows and a sample."""
    rows, sample = frames
    groups: dict[tuple[str, Rule], list[Moved]] = {}
    for one in sorted(alarms, key=lambda moved: -moved.effect.size):
        groups.setdefault((one.column, one.rule), []).append(one)
    for (name, rule), members in groups.items():
        values = sample[name]
        concerned = _concerned(rule, values, before[name])
        share = int(concerned.sum()) / len(concerned)
        yield Finding(
            column=name,
            rule=rule,
            rows=round(share * rows.height),
            share=share,
            action=verdict,
            verdict=verdict,
            sentence=anomaly_sentence(members, values, before[name]),
            examples=row_examples(sample, concerned, data, name) if rule in ("missing rate", "new category") else (),
            comparison=compare_distributions(values, before[name]),
        )


def _concerned(rule: Rule, values: pl.Series, before: DataColumn) -> pl.Series:
    """Return which rows of the sample an anomaly is about, (n_rows,): all of them when it is about a distribution."""
    if rule == "missing rate":
        return values.is_null()
    if rule == "new category":
        text = values.cast(pl.String)
        return (~text.is_in(list(before.categories))).fill_null(value=False)
    return pl.repeat(value=True, n=len(values), eager=True)
