"""What a look tells Prometheus: a file a use case, which the exporter passes on (see `flywheel.textfile`)."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from prometheus_client import Gauge

from flywheel.alerts import Alert, Severity
from flywheel.textfile import Textfile

# By the end of its name: what it says. All are of one use case.
GAUGES: dict[str, str] = {
    "loss": "Realised loss of the newest judged window, in units of the use case's loss.",
    "loss_reference": "What it is compared with: the loss on rows that the version had not seen.",
    "loss_margin": "The rise of the loss that is tolerated.",
    "loss_estimated": "Loss estimated before outcomes come.",
    "roc_auc": "Realised area under the ROC curve of the newest judged window.",
    "cost": "Realised cost of a decision in the newest judged window, in the use case's unit.",
    "answered": "Predictions in the newest judged window.",
    "labelled": "Of these, those whose outcome is known.",
    "censored": "Of these, those whose outcome is due and has not come.",
    "drift_evidence": "Evidence for drift (an e-value).",
    "drift_threshold": "From which evidence on drift is an alarm.",
    "concept_evidence": "Evidence that the loss itself has changed (an e-value).",
    "concept_threshold": "From which evidence on that is an alarm.",
    "retrainings_left": "Retrainings that this month's budget has left.",
    "every_seconds": "Time between two looks of the schedule.",
}
PREFIX = "flywheel_monitor_"


def publish(
    home: Path, use_case: str, *, at: datetime, figures: Mapping[str, float | None], alerts: list[Alert]
) -> None:
    """Write what a look found; a figure that is None keeps the value it had: nothing newer has been judged.

    Args:
        home: Of the stack.
        use_case: That was looked at.
        at: When (UTC).
        figures: By the names of `GAUGES`.
        alerts: The use case's open alerts.
    """
    file = Textfile(home, f"monitor-{use_case}")
    for name, text in GAUGES.items():
        value = figures.get(name)
        value = file.former(PREFIX + name) if value is None else value
        if value is not None:
            Gauge(PREFIX + name, text, ["use_case"], registry=file.registry).labels(use_case).set(value)
    last = Gauge(
        f"{PREFIX}last_look_timestamp_seconds", "When it was looked at last.", ["use_case"], registry=file.registry
    )
    last.labels(use_case).set(at.timestamp())
    opened = Gauge(f"{PREFIX}alerts", "Alerts that are open.", ["use_case", "severity"], registry=file.registry)
    for severity in Severity:
        opened.labels(use_case, severity.value).set(sum(one.finding.severity is severity for one in alerts))
    file.write()
