"""The tables with which a demo ends."""

import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from flywheel.connections import endpoints
from flywheel.demo.people import newest_version
from flywheel.demo.story import Story
from flywheel.goals import Goal
from flywheel.settings import Settings

FILE_WIDTH = 110


def show(settings: Settings, story: Story, goals: list[Goal], rows: list[dict[str, Any]]) -> None:
    """Print what monitoring saw, the figures, and where to look."""
    console = Console() if sys.stdout.isatty() else Console(width=FILE_WIDTH)
    console.print(_windows_table(rows))
    console.print(_goals_table(goals))
    mlflow, name = endpoints(settings).mlflow_url, story.use_case.name
    pages = {
        "MLflow": f"{mlflow}/#/models/{name}",
        "Review": f"{mlflow}/flywheel/review/{name}/{newest_version(settings, name)}",
        "Evidently report": story.report_url,
        "Log in as": f"ada or grace; `flywheel env --user ada` shows the password (folder {settings.home})",
        "Stop it all": "make down",
    }
    console.print("Pages to look at")
    for page, text in pages.items():
        console.print(f"  {page:17} {text}", soft_wrap=True, highlight=False, markup=False)


def _windows_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="What monitoring saw", title_justify="left")
    for name in ("window", "labelled", "log-loss", "95 % interval", "reference", "verdict", "retrained"):
        table.add_column(name, justify="left" if name in {"window", "verdict"} else "right", no_wrap=True)
    for row in rows:
        interval = f"{row['low']:.3f} to {row['high']:.3f}" if row["low"] is not None else "-"
        table.add_row(
            str(row["window"]),
            f"{row['rows']:,}",
            _number(row["loss"]),
            interval,
            _number(row["reference"]),
            str(row["verdict"]),
            f"version {row['retrained_version']}" if row["retrained_version"] else "",
        )
    return table


def _goals_table(goals: list[Goal]) -> Table:
    table = Table(title="Figures", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("target", justify="right")
    table.add_column("met")
    for item in goals:
        value = f"{item.value:,.4g}" if item.value != int(item.value) else f"{int(item.value):,}"
        table.add_row(item.name, value, f"{item.comparison} {item.target:,}", "yes" if item.met else "[red]no[/red]")
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
