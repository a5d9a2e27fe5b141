"""All that a window's outcomes say beside the verdict on harm: metrics, by version and by arm, and slices; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from flywheel.contract import Contract
from flywheel.fields import read_fields
from flywheel.usecase import UseCase
from monitoring.performance.decisions import with_decisions
from monitoring.performance.measure import MEASURES
from monitoring.performance.metrics import Metric, metrics_by, realised_metrics
from monitoring.performance.slices import Slices, judge_slices

Groups = Mapping[str, Mapping[str, Metric]]


@dataclass(frozen=True)
class Summary:
    """Realised performance of one window.

    Attributes:
        metrics: By name, over all labelled rows.
        by_version: The same by version, most rows first.
        by_arm: The same by arm of a rollout; rows outside of one are under `none`.
        slices: Parts of the use case's columns, the worst first.
    """

    metrics: Mapping[str, Metric]
    by_version: Groups
    by_arm: Groups
    slices: Slices

    def body(self) -> dict[str, Any]:
        """Return it as plain values, for an event."""
        return {
            "metrics": _bodies(self.metrics),
            "by_version": {name: _bodies(group) for name, group in self.by_version.items()},
            "by_arm": {name: _bodies(group) for name, group in self.by_arm.items()},
            "slices": self.slices.body(),
        }


def summarise(judged: pl.DataFrame, use_case: UseCase, contracts: Mapping[str, Contract]) -> Summary:
    """Summarise a window's labelled rows.

    Args:
        judged: n_rows as `monitoring.performance.answers.with_losses` returns them, `loss` never null; `arm` and
            `inputs` as the log has them.
        use_case: Its task, costs and slices.
        contracts: By version.
    """
    task, costs = use_case.task, use_case.evaluate.costs
    rows = with_decisions(judged, contracts) if task == "binary" else judged
    columns = (*use_case.evaluate.slices, *use_case.monitor.slices)
    sliced = judged.select("event_time", "loss").hstack(_inputs(judged, columns, contracts))
    return Summary(
        metrics=realised_metrics(rows, task, costs),
        by_version=metrics_by(rows, "model_version", task, costs),
        by_arm=metrics_by(rows, "arm", task, costs) if "arm" in rows.columns else {},
        slices=judge_slices(sliced, columns, MEASURES[task]),
    )


def _inputs(rows: pl.DataFrame, columns: tuple[str, ...], contracts: Mapping[str, Contract]) -> pl.DataFrame:
    """Return the raw inputs that are sliced by; features that are no inputs are not in the log."""
    kinds = {column.name: column.type for contract in contracts.values() for column in contract.columns}
    return read_fields(rows, "inputs", {name: kinds[name] for name in dict.fromkeys(columns) if name in kinds})


def _bodies(metrics: Mapping[str, Metric]) -> dict[str, dict[str, float | int | None]]:
    return {name: metric.body() for name, metric in metrics.items()}
