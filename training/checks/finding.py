"""What a check of the data found: values with reasons, worst first, and the fault that a stop becomes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import polars as pl

from flywheel.contract import ColumnType
from flywheel.errors import DataError
from flywheel.profile import DataProfile

MAX_EXAMPLES = 5

Rule = Literal[
    "type",
    "finite",
    "range",
    "category",
    "missing",
    "unique",
    "duplicate",
    "all missing",
    "constant",
    "freshness",
    "min_rows",
    "volume",
    "day volume",
    "columns",
    "shift",
    "spread",
    "missing rate",
    "new category",
    "category shift",
    "correlation",
]
# What a breach led to. `stop` ends the training, `quarantine` sets rows aside, `warn` only says so.
Verdict = Literal["pass", "warn", "quarantine", "stop"]
SEVERITY: dict[Verdict, int] = {"stop": 0, "quarantine": 1, "warn": 2, "pass": 3}


@dataclass(frozen=True)
class Example:
    """One row that broke a rule: its keys, and the value as text (shortened; None where the keys are at fault)."""

    event_time: str
    entity: str | None
    value: str | None

    def __str__(self) -> str:
        """Return the row in the words of a sentence."""
        who = f"{self.entity} at {self.event_time}" if self.entity is not None else self.event_time
        return who if self.value is None else f"{who}: {self.value}"


@dataclass(frozen=True)
class Comparison:
    """A column's distribution in the last good run and now: shares (0 to 1) by label, in the order to draw them."""

    type: ColumnType
    labels: tuple[str, ...]
    before: tuple[float, ...]
    now: tuple[float, ...]


@dataclass(frozen=True)
class Finding:
    """One rule that one column, or the whole frame (column None), broke.

    `rows` broke it, `share` (0 to 1) of those checked. `action` is what the use case says of this rule, `verdict` what
    it led to: a breach that no single row makes cannot be quarantined, so it stops.
    """

    column: str | None
    rule: Rule
    rows: int
    share: float
    action: str
    verdict: Verdict
    sentence: str
    examples: tuple[Example, ...] = ()
    comparison: Comparison | None = None

    @property
    def message(self) -> str:
        """The sentence with the first examples, for where there is no table beside it."""
        if not self.examples:
            return self.sentence
        return f"{self.sentence} For example {'; '.join(str(example) for example in self.examples[:3])}."


@dataclass(frozen=True)
class CheckReport:
    """Everything that one check found. Rows in = `clean_rows` + `quarantined_rows`.

    `rules` counts what was checked; `compared_with` names the last good run, None when there is none to compare with.
    """

    usecase: str
    as_of: datetime
    start: datetime | None
    end: datetime | None
    rows: int
    clean_rows: int
    quarantined_rows: int
    columns: int
    rules: int
    compared_with: str | None
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The most severe verdict of all findings."""
        return min((finding.verdict for finding in self.findings), key=SEVERITY.__getitem__, default="pass")

    def count(self, verdict: Verdict) -> int:
        """Return how many findings led to this verdict."""
        return sum(finding.verdict == verdict for finding in self.findings)


@dataclass(frozen=True)
class CheckResult:
    """What training goes on with.

    `clean` is the very frame that came in when nothing was set aside. `quarantined` has its columns and
    `quarantine_reason`: `rule:column`, several parted by "; ". `profile` describes the clean rows' inputs.
    """

    clean: pl.DataFrame
    quarantined: pl.DataFrame
    report: CheckReport
    profile: DataProfile


class CheckFailedError(DataError):
    """The data stop the training; `report` says all that was found."""

    def __init__(self, message: str, report: CheckReport) -> None:
        super().__init__(message)
        self.report = report
