"""What a backtest found, as a table for people and as plain JSON."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from monitoring.backtest.run import Outcome
from monitoring.backtest.score import Difference

POLICY, GAIN = "policy", "gain over weekly, 95 %"


def show(outcome: Outcome, console: Console | None = None) -> None:
    """Print the table and the recommendation."""
    console = console or Console(width=150)
    console.print(table(outcome))
    if not all(one.policy.is_servable for one in outcome.scores.replayed.values()):
        console.print("° is measured here, and cannot be served yet.")
    if (rough := rough_shares(outcome)) is not None:
        console.print(rough, soft_wrap=True, highlight=False)
    console.print(outcome.recommendation.sentence, soft_wrap=True, highlight=False)


def rough_shares(outcome: Outcome) -> str | None:
    """Say that weekly's own gain is within chance, so that shares of it are rough; None where it is not."""
    scores = outcome.scores
    if not {"never", "weekly"} <= scores.replayed.keys():
        return None
    gain = scores.difference("never", "weekly", outcome.report)
    if gain.low > 0:
        return None
    interval = f"{gain.mean:.4f} [{gain.low:.4f}, {gain.high:.4f}]"
    return f"Weekly's own gain over never, {interval}, is within chance: shares of it are rough."


def table(outcome: Outcome) -> Table:
    """Return one line a policy: trainings and loss of both parts, cost, and what it gains over weekly if that ran."""
    made = Table(title=_title(outcome), title_justify="left")
    columns = _columns(outcome)
    for name in columns:
        made.add_column(name, justify="left" if name == POLICY else "right", no_wrap=name in (POLICY, GAIN))
    for row in document(outcome)["policies"]:
        made.add_row(*(cell(row) for cell in columns.values()))
    return made


def _columns(outcome: Outcome) -> dict[str, Callable[[dict[str, Any]], str]]:
    """Return what stands in each column, by its head; columns that nothing can stand in are left out."""
    replayed, best = outcome.scores.replayed.keys(), outcome.recommendation.policy
    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        POLICY: lambda row: f"{'▸ ' * (row['policy'] == best)}{row['policy']}{' °' * (not row['servable'])}",
        "trainings, chosen on": lambda row: f"{row['trainings_choose']}",
        "trainings, reported": lambda row: f"{row['trainings_report']}",
        "loss, chosen on": lambda row: f"{row['loss_choose']:.4f}",
        "loss, reported": lambda row: f"{row['loss_report']:.4f}",
    }
    if {"never", "weekly"} <= replayed:
        columns["share of weekly's gain"] = lambda row: _number(row["share_of_weekly_gain"], ".2f")
    if "weekly" in replayed:
        columns[GAIN] = lambda row: _gain(row["against_weekly"])
    if outcome.costs is not None:
        columns["cost of 1,000 rows"] = lambda row: _number(row["cost_report"], ",.1f")
    return columns


def document(outcome: Outcome) -> dict[str, Any]:
    """Return everything as plain JSON; `against` are differences of losses, of which less is better."""
    return {
        "use_case": outcome.plan.use_case.name,
        "from": outcome.choose.begin.isoformat(),
        "choose_until": outcome.choose.end.isoformat(),
        "to": outcome.report.end.isoformat(),
        "family": outcome.family,
        "params": outcome.params,
        "recommendation": asdict(outcome.recommendation),
        "policies": [_row(outcome, name) for name in outcome.scores.replayed],
    }


def _row(outcome: Outcome, name: str) -> dict[str, Any]:
    scores, choose, report = outcome.scores, outcome.choose, outcome.report
    one, is_weekly = scores.replayed[name], name == "weekly" or "weekly" not in scores.replayed
    return {
        "policy": name,
        "servable": one.policy.is_servable,
        "trainings": len(one.retrainings),
        "trainings_choose": choose.trainings(one),
        "trainings_report": report.trainings(one),
        "loss_choose": scores.loss(name, choose),
        "loss_report": scores.loss(name, report),
        "cost_choose": scores.cost(name, choose),
        "cost_report": scores.cost(name, report),
        "share_of_weekly_gain": scores.share(name, report),
        "against_weekly": None if is_weekly else asdict(scores.difference(name, "weekly", report)),
        "trained": [{**asdict(training), "as_of": training.as_of.isoformat()} for training in one.trainings],
        "windows": [{"end": window.end.isoformat(), "verdict": window.verdict} for window in one.windows],
    }


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _gain(difference: dict[str, float] | None) -> str:
    """Write a difference of losses as what is gained: as in the plot, more is better."""
    return "" if difference is None else Difference(**difference).gain


def _title(outcome: Outcome) -> str:
    choose, report = outcome.choose, outcome.report
    return (
        f"{outcome.plan.use_case.name}: chosen on {choose.begin:%Y-%m-%d} to {choose.end:%Y-%m-%d}, "
        f"reported on {report.begin:%Y-%m-%d} to {report.end:%Y-%m-%d}"
    )
