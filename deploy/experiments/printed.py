"""The report as text for a terminal."""

import sys

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.experiments import words
from deploy.experiments.power import Power
from deploy.experiments.report import Report
from deploy.experiments.rows import rows, titles

FILE_WIDTH = 170
TEXTS = ("arm", "evidence", "standing")


def show_report(report: Report) -> None:
    """Print the verdict, a table of arms, guardrails, shares, and the return."""
    judgement, console = report.judgement, _console()
    console.print(
        f"{judgement.decision.call.value} (look {judgement.look}): {judgement.decision.reason}",
        markup=False,
        soft_wrap=True,
    )
    console.print(_arms(report))
    for line in _below(report):
        console.print(line, markup=False, soft_wrap=True)


def show_power(found: list[Power], *, units_per_day: float, power: float, metric: str) -> None:
    """Print what a plan promises."""
    console = _console()
    for one in found:
        lines = [
            f"{one.arm}: the least number of units is there after {one.minimum_days:.1f} days"
            f" at {units_per_day:,g} units a day of all arms.",
            f"{one.arm}: after {one.horizon_days:.1f} days, with {one.units:,.0f} units, a change of"
            f" {words.number(one.detectable)} {metric} a unit is found with a probability of {power:g} or more.",
        ]
        if one.days_for_margin is not None:
            lines.append(f"{one.arm}: a change of the margin is found so after {one.days_for_margin:.1f} days.")
        for line in lines:
            console.print(line, markup=False, soft_wrap=True)


def _console() -> Console:
    return Console(highlight=False) if sys.stdout.isatty() else Console(width=FILE_WIDTH, highlight=False)


def _arms(report: Report) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in titles(report):
        table.add_column(escape(title), justify="left" if title in TEXTS else "right")
    for row in rows(report):
        table.add_row(*(escape(cell) for cell in row))
    return table


def _below(report: Report) -> list[str]:
    judgement = report.judgement
    lines = []
    if not judgement.ratio.mismatch:
        lines = [f"guardrail  {one.arm}: {words.guard(item)}" for one in judgement.arms for item in one.guardrails]
    found = "mismatch" if judgement.ratio.mismatch else "as planned"
    lines.append(f"shares     {found}, p {judgement.ratio.p_value:.2g}")
    if judgement.last.contaminated:
        lines.append(f"units      {judgement.last.contaminated:,} were seen in several arms and are left out")
    return lines + [f"return     {one.arm}: {line}" for one in report.money for line in words.money_lines(one)]
