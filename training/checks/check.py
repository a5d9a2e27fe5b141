"""The check of a training's data: a typed frame in, clean rows, rows set aside and a report out, or a stop.

Rows are looked at in this order: types, whole columns, each row's own rules, repeated keys; then clean rows are
counted, and held against the last good run.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from flywheel.column_types import POLARS
from flywheel.contract import Column, Contract
from flywheel.errors import DataError
from flywheel.profile import DataProfile
from flywheel.usecase import Action, ColumnCheck, UseCase
from training.checks.anomalies import MIN_NEW_ROWS, find_anomalies, rows_after
from training.checks.breaches import VERDICTS, Breach, set_aside, to_finding
from training.checks.days import time_span
from training.checks.finding import SEVERITY, CheckFailedError, CheckReport, CheckResult, Finding, Verdict
from training.checks.profiling import profile_data
from training.checks.rules import RowRule, row_rules, wrong_types
from training.checks.screen import Screening, screen
from training.checks.uniqueness import repeated_rows
from training.checks.volume import check_days, check_freshness, check_size, check_volume

NO_CHECK = ColumnCheck()


@dataclass(frozen=True)
class Examination:
    """One frame under check: what is asked of it, and as of when (naive UTC)."""

    frame: pl.DataFrame
    usecase: UseCase
    contract: Contract
    as_of: datetime
    last: DataProfile | None

    def check_of(self, column: str) -> ColumnCheck:
        """Return what the use case says of a column."""
        return self.usecase.checks.columns.get(column, NO_CHECK)


def check_data(
    frame: pl.DataFrame, usecase: UseCase, contract: Contract, *, as_of: datetime, last: DataProfile | None
) -> CheckResult:
    """Check typed rows: n_rows by (event time, inputs, label and keys), best sorted by event time.

    Args:
        frame: Never changed; returned as it is when no row is set aside.
        usecase: Its `data` and `checks` say what is asked.
        contract: Made from this frame's inputs by `training.checks.contract`.
        as_of: Naive UTC; what freshness is measured from.
        last: Data profile of the last good run; None when there was none, and then nothing is an anomaly.

    Raises:
        CheckFailedError: A rule says stop; its `report` holds all findings.
        DataError: The frame has no rows.
    """
    if frame.is_empty():
        raise DataError("The source has no rows. Correct data.source in usecase.yaml, or choose a later as_of.")
    case = Examination(frame, usecase, contract, as_of, last)
    typed = list(_check_types(case))
    if typed:
        raise _stop(_report(case, frame.height, 0, typed))
    rules = row_rules(contract)
    screening = screen(frame, contract, rules)
    breaches = [*_row_breaches(case, screening), *_key_breaches(case)]
    findings = [
        *check_freshness(time_span(frame[contract.event_time])[1], as_of, usecase.checks),
        *_check_columns(case, screening),
        *(to_finding(breach, frame, usecase.data) for breach in breaches),
    ]
    clean, aside = set_aside(frame, breaches)
    findings.extend(_check_values(case, clean))
    findings.extend(check_size(clean.height, frame.height, usecase.checks))
    if clean.height:
        findings.extend(_check_patterns(case, clean))
    report = _report(case, clean.height, len(rules), findings)
    if report.verdict == "stop" or clean.is_empty():
        raise _stop(report)
    return CheckResult(clean, aside, report, profile_data(clean, contract, contract.event_time))


def _check_types(case: Examination) -> Iterator[Finding]:
    for column in wrong_types(case.frame, case.contract):
        found = case.frame.schema.get(column.name)
        what = "is not in the data" if found is None else f"is of type {found}"
        sentence = f"Column '{column.name}' {what}, but must be {column.type}. Correct the source."
        yield Finding(column.name, "type", case.frame.height, 1.0, "stop", "stop", sentence)


def _check_columns(case: Examination, screening: Screening) -> Iterator[Finding]:
    total = case.frame.height
    for name in screening.constant:
        sentence = f"Column '{name}' has the same value in all {total:,} rows, so no model learns from it."
        yield Finding(name, "constant", total, 1.0, "warn", "warn", f"{sentence} Add it to data.exclude.")


def _check_values(case: Examination, clean: pl.DataFrame) -> Iterator[Finding]:
    """Find columns without any value among the clean rows."""
    total = clean.height
    for column in case.contract.columns:
        if clean[column.name].null_count() == total > 0:
            left = "rows" if total == case.frame.height else "clean rows"
            sentence = f"Column '{column.name}' has no value in any of {total:,} {left}."
            remedy = "Add it to data.exclude, or fill it."
            yield Finding(column.name, "all missing", total, 1.0, "stop", "stop", f"{sentence} {remedy}")


def _row_breaches(case: Examination, screening: Screening) -> Iterator[Breach]:
    """Look closely at the columns that screening left in doubt."""
    columns = {column.name: column for column in case.contract.columns}
    for rule in screening.suspects:
        action = _action(case, rule)
        if action == "off" or screening.missing[rule.column] == case.frame.height:
            continue
        mask = case.frame.select(rule.broken).to_series()
        if mask.any():
            fault = _fault(rule, columns[rule.column])
            yield Breach(rule.column, rule.rule, mask, action, fault, _remedy(rule))
    yield from _missing_breaches(case, screening)


def _action(case: Examination, rule: RowRule) -> Action:
    return case.usecase.checks.infinite if rule.rule == "finite" else case.check_of(rule.column).action


def _fault(rule: RowRule, column: Column) -> str:
    """Say in a few words what is wrong with a row that breaks a rule."""
    if rule.rule == "finite":
        return "infinite, or not a number"
    if rule.rule == "missing":
        return "no value"
    if rule.rule == "category":
        return f"none of {len(column.categories or ())} categories"
    if column.lower is not None and column.upper is not None:
        return f"not from {column.lower} to {column.upper}"
    if column.lower is not None:
        return f"below {column.lower}"
    return f"above {column.upper}" if column.upper is not None else "not between the years 1678 and 2261"


def _remedy(rule: RowRule) -> str:
    key = "checks.infinite" if rule.rule == "finite" else f"checks.columns.{rule.column}.action"
    return f"Correct them in the source, or set {key} to quarantine."


def _missing_breaches(case: Examination, screening: Screening) -> Iterator[Breach]:
    """Hold shares of missing values against `max_missing`.

    Rows without a value can be set aside when none may be missing; when some may, no row in particular is at fault, and
    leaving all of them out would bend the data: then `quarantine` stops.
    """
    total = case.frame.height
    needed = {column.name for column in case.contract.columns if not column.nullable}
    for name, missing in screening.missing.items():
        check = case.check_of(name)
        if check.max_missing is None or check.action == "off" or name in needed or missing == total:
            continue
        if missing > check.max_missing * total:
            action: Action = "stop" if check.action == "quarantine" and check.max_missing > 0 else check.action
            fault = f"no value; max_missing is {check.max_missing:.1%}"
            remedy = "Fill it in the source, raise max_missing, or add the column to data.exclude."
            yield Breach(name, "missing", case.frame[name].is_null(), action, fault, remedy)


def _key_breaches(case: Examination) -> Iterator[Breach]:
    """Find repeated keys and repeated values of unique columns; the first row of each is kept."""
    data, checks = case.usecase.data, case.usecase.checks
    if data.entity is not None and checks.duplicates != "off":
        mask = repeated_rows(case.frame, [data.entity, data.event_time])
        if mask is not None:
            fault = f"the same {data.entity} and {data.event_time} as an earlier row"
            remedy = "Correct them in the source, or set checks.duplicates to quarantine."
            yield Breach(None, "duplicate", mask, checks.duplicates, fault, remedy)
    for name, check in checks.columns.items():
        if check.unique and check.action != "off" and (mask := repeated_rows(case.frame, [name])) is not None:
            remedy = f"Correct them in the source, or set checks.columns.{name}.action to quarantine."
            yield Breach(name, "unique", mask, check.action, "the same value as an earlier row", remedy)


def _check_patterns(case: Examination, clean: pl.DataFrame) -> Iterator[Finding]:
    """Hold clean rows against the last good run, as `checks.anomalies` says."""
    checks, time = case.usecase.checks, case.contract.event_time
    if checks.anomalies == "off":
        return
    verdict: Verdict = VERDICTS[checks.anomalies]
    yield from check_days(clean[time], None if case.last is None else case.last.end, verdict)
    if case.last is not None:
        later = rows_after(clean, time, case.last.end)
        yield from check_volume((later if later.height else clean)[time], case.last, checks, verdict)
        rows = later if later.height >= MIN_NEW_ROWS else clean
        yield from find_anomalies(rows, case.contract, case.usecase.data, case.last, verdict)


def _report(case: Examination, clean: int, rules: int, findings: list[Finding]) -> CheckReport:
    name, last = case.contract.event_time, case.last
    typed = case.frame.schema.get(name) == POLARS["datetime"]
    start, end = time_span(case.frame[name]) if typed else (None, None)
    return CheckReport(
        usecase=case.usecase.name,
        as_of=case.as_of,
        start=start,
        end=end,
        rows=case.frame.height,
        clean_rows=clean,
        quarantined_rows=case.frame.height - clean,
        columns=len(case.contract.columns),
        rules=rules,
        compared_with=None if last is None else f"{last.rows:,} rows from {last.start} to {last.end}",
        findings=tuple(sorted(findings, key=lambda finding: SEVERITY[finding.verdict])),
    )


def _stop(report: CheckReport) -> CheckFailedError:
    """Make the fault of the first stop, naming how many more there are."""
    first, more = report.findings[0], report.count("stop") - 1
    rest = f" {more} more {'finding says' if more == 1 else 'findings say'} stop: see the report." if more else ""
    return CheckFailedError(first.message + rest, report)
