"""The serving section as people read it: one table where the terminal is wide enough, else traffic and log apart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from deploy.loop.progress import Progress
from deploy.loop.view import describe
from deploy.shares import SHADOW
from deploy.status.arms import Arm
from deploy.status.controller import ControllerState
from flywheel.rollbacks import in_one_line

UNKNOWN = "–"
UNBOUNDED = 1000  # columns
UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass(frozen=True)
class Column:
    """One column: its head, and what stands in it for an arm."""

    head: str
    cell: Callable[[Arm], str]


TRAFFIC = (
    Column("share", lambda arm: f"{'+' * (arm.arm == SHADOW)}{arm.share_percent:g} %"),
    Column("ready", lambda arm: f"{arm.replicas_ready}/{arm.replicas}"),
    Column("backend", lambda arm: arm.backend or UNKNOWN),
    Column("req/s", lambda arm: _number(arm.figures.requests_per_second)),
    Column("errors", lambda arm: _percent(arm.figures.error_ratio)),
    Column("p50", lambda arm: _duration(arm.figures.p50_seconds)),
    Column("p99", lambda arm: _duration(arm.figures.p99_seconds)),
    Column("queue", lambda arm: _number(arm.queue_rows)),
)
LOG = (
    Column("window", lambda arm: _duration(arm.figures.window_seconds)),
    Column("log lag", lambda arm: _duration(arm.log_lag_seconds)),
    Column("spool", lambda arm: _bytes(arm.spooled.spool_bytes)),
    Column("quarantined", lambda arm: str(arm.spooled.quarantined_lines)),
)


def shown(arms: Sequence[Arm], width: int) -> str:
    """Return the tables for a terminal of `width` columns; no figure is ever cut."""
    whole = _lines(arms, (*TRAFFIC, *LOG))
    if max(map(len, whole)) <= width:
        return "\n".join(whole)
    versions = [arm for arm in arms if arm.arm != SHADOW]  # a shadow's spool is its version's
    return "\n".join([*_lines(arms, TRAFFIC), "", *_lines(versions, LOG)])


def rollout_lines(standing: Sequence[Progress]) -> list[str]:
    """Say where each rollout stood when a controller looked last, and what else is not simply live."""
    told = [one for one in standing if one.challenger is not None or one.reason != "Live."]
    return [describe(replace(one, reason=_without_log(one))) for one in told]


def _without_log(one: Progress) -> str:
    brief = in_one_line(one.reason)
    return brief if "\n" not in one.reason else f"{brief} `flywheel logs {one.usecase}` shows its log."


def shift_lines(arms: Sequence[Arm]) -> list[str]:
    """Say of each version whose answers are moved by how much."""
    moved = {(arm.use_case, arm.version): arm.shift for arm in arms if arm.shift}
    return [
        f"{name}: version {version} is recalibrated, its answers are moved by {shift:+.3f} in log-odds."
        for (name, version), shift in moved.items()
    ]


def controller_line(state: ControllerState) -> str:
    """Say whether a controller is at work, or runs and is late."""
    if state.at_work:
        return "A controller is at work."
    seconds = state.last_pass_seconds_ago
    if state.running and seconds is None:
        return "A controller runs, and has not ended its first pass yet."
    if state.running:
        return f"A controller runs, and its pass is late: the last one ended {_duration(seconds)} ago."
    if seconds is None:
        return "No controller has been at work yet."
    return f"No controller is at work; the last pass was {_duration(seconds)} ago."


def _lines(arms: Sequence[Arm], columns: Sequence[Column]) -> list[str]:
    """Render a table of one line an arm, with the use case's name on a line before its arms."""
    table = Table(box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False, show_edge=False)
    table.add_column("version", no_wrap=True)
    for column in columns:
        table.add_column(column.head, justify="right", no_wrap=True)
    for arm in arms:
        table.add_row(f"  v{arm.version} {arm.arm}", *(column.cell(arm) for column in columns))
    console = Console(width=UNBOUNDED, color_system=None)
    with console.capture() as capture:
        console.print(table)
    head, rule, *rows = capture.get().splitlines()
    found, former = [head, rule], None
    for arm, row in zip(arms, rows, strict=True):
        found += [arm.use_case] if arm.use_case != former else []
        found.append(row)
        former = arm.use_case
    return [line.rstrip() for line in found]


def _number(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    if 0 < value < 0.01:
        return "<0.01"
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.2g}" if value < 1 else f"{value:.1f}"


def _percent(ratio: float | None) -> str:
    if ratio is None:
        return UNKNOWN
    percent = 100 * ratio
    return (
        "0 %" if percent == 0 else "<0.01 %" if percent < 0.01 else f"{percent:{'.0f' if percent >= 10 else '.2f'}} %"
    )


def _duration(seconds: float | None) -> str:
    """Write a duration in the unit that suits it."""
    if seconds is None:
        return UNKNOWN
    if seconds == 0:
        return "0 s"
    if seconds < 1:
        return f"{seconds * 1000:.2g} ms" if seconds < 0.1 else f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _bytes(count: float) -> str:
    for unit in UNITS[:-1]:
        if count < 1000:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} {UNITS[-1]}"
