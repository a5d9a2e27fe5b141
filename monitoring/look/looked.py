"""What a look has found, part by part: for the event, the page, the alerts and Prometheus."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from flywheel.alerts import Alert
from flywheel.errors import FlywheelError
from flywheel.usecase import UseCase
from monitoring.concept.days import Days
from monitoring.drift.decision import DriftDecision
from monitoring.job import Result, Training
from monitoring.look.inputs import Inputs
from monitoring.look.outages import Outage
from monitoring.look.parts import Begin, Part, silent
from monitoring.performance.measure import MEASURES
from monitoring.performance.outlook import Outlook
from monitoring.performance.summary import Summary
from monitoring.retraining.level import Learned
from monitoring.retraining.policy import RetrainDecision
from monitoring.skew.release import Release
from monitoring.windows.keys import Key
from monitoring.windows.update import Update
from monitoring.windows.window import Counts, Span

MONTH = timedelta(days=30)
T = TypeVar("T")


@dataclass
class Looked:
    """What a look has found; a part that could not be judged is None or empty, and named in `failures`.

    Attributes:
        update: What was new in the log.
        counts: Of the newest rows.
        newest: The event time of the last answer in the log, where all lie before the newest window.
        arms: The same by version and arm: who waits for outcomes, and who never gets them.
        windows: That were due, with what came of them.
        drift: By version.
        outages: Columns that have or had no values, of all versions; None where that could not be counted.
        earlier: The sentence on what is over and opens no alert.
        releases: By version that is new: its first live rows against those it was trained on.
        concept: Of the champion's daily losses.
        inputs: Of the champion's newest rows.
        summary: Realised, of the newest rows with outcomes.
        outlook: Estimated, of the champion's answers in the newest window that is over.
        estimated: The verdict on that window by its estimate, where outcomes are too few for one.
        recalibrated: By how much versions' answers are moved until the next look.
        decision: About training; None where it was not to be considered.
        training: What came of it.
        failures: Parts that failed, and why.
        alerts: That are open now.
        begin: Is told of each part as it begins.
    """

    update: Update = field(default_factory=Update)
    counts: Counts | None = None
    newest: datetime | None = None
    arms: dict[Key, Counts] = field(default_factory=dict)
    windows: list[tuple[Span, Result]] = field(default_factory=list)
    drift: dict[str, DriftDecision] = field(default_factory=dict)
    outages: tuple[Outage, ...] | None = None
    earlier: str = ""
    releases: dict[str, Release] = field(default_factory=dict)
    concept: Days | None = None
    inputs: Inputs | None = None
    summary: Summary | None = None
    outlook: Outlook | None = None
    estimated: Mapping[str, Any] | None = None
    recalibrated: list[Learned] = field(default_factory=list)
    decision: RetrainDecision | None = None
    training: Training | None = None
    failures: list[tuple[str, str]] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    begin: Begin = silent

    @property
    def has_judged(self) -> bool:
        """Whether there is anything to record."""
        return bool(self.drift or self.concept or self.inputs or self.failures)

    @property
    def examined(self) -> set[str]:
        """The kinds of findings that this look could have made: alerts of others are left as they are."""
        judged = {
            "drift": bool(self.drift),
            "columns": self.outages is not None,
            "release": bool(self.releases),
            "loss": bool(self.windows),
            "slice": self.summary is not None,
            "concept": self.concept is not None,
            **dict.fromkeys(("skew", "missing", "freshness", "anomaly"), self.inputs is not None),
            "recalibration": bool(self.recalibrated),
            "log": True,
            "outcomes": self.update.claims.reports > 0,  # a look at a time without any says nothing of them
            "look": True,
        }
        return {kind for kind, was in judged.items() if was}

    def body(self) -> dict[str, Any]:
        """Return what was judged as plain JSON, for an event and a page; windows have events of their own."""
        return {
            "newest": None if self.newest is None else self.newest.isoformat(),
            "answers": [{**key._asdict(), **counts.body()} for key, counts in self.arms.items()],
            "drift": {version: decision.body() for version, decision in self.drift.items()},
            "outages": [one.body() for one in self.outages or ()],
            "earlier": self.earlier,
            "releases": {version: release.body() for version, release in self.releases.items()},
            "concept": None if self.concept is None else self.concept.body(),
            "inputs": None if self.inputs is None else self.inputs.body(),
            "summary": None if self.summary is None else self.summary.body(),
            "outlook": None if self.outlook is None else self.outlook.body(),
            "estimated": self.estimated,
            "recalibrated": [one.body() for one in self.recalibrated],
            "outcomes": self.update.claims.body(),
            "failures": [{"part": part, "reason": reason} for part, reason in self.failures],
        }

    def attempt(self, part: Part, judge: Callable[[], T], of: str = "") -> T | None:
        """Judge a part, of which `of` says which one; None when that fails, which is noted."""
        self.begin(part.doing(of))
        try:
            return judge()
        except FlywheelError as fault:
            self.failures.append((part.called(of), str(fault)))
            return None


def figures(looked: Looked, use_case: UseCase) -> Mapping[str, float | None]:
    """Return what Prometheus is told of a look, by the names of `monitoring.reports.metrics.GAUGES`."""
    newest = looked.windows[-1][1] if looked.windows else None
    drift = next((one for one in looked.drift.values() if one.threshold is not None), None)
    concept = looked.concept.now if looked.concept is not None else None
    measured = {name: one.value for name, one in looked.summary.metrics.items()} if looked.summary else {}
    expected = {name: one.value for name, one in looked.outlook.forecasts.items()} if looked.outlook else {}
    counts = looked.counts.body() if looked.counts is not None else {}
    return {
        "loss": newest.loss if newest else None,
        "loss_reference": newest.reference if newest else None,
        "loss_margin": _margin(newest, use_case),
        "retrainings_left": _left(looked.decision, use_case),
        "loss_estimated": expected.get("log_loss"),
        "roc_auc": measured.get("roc_auc"),
        "cost": measured.get("cost"),
        **{name: counts.get(name) for name in ("answered", "labelled", "censored")},
        "drift_evidence": drift.e_value if drift else None,
        "drift_threshold": drift.threshold if drift else None,
        "concept_evidence": concept.e_value if concept else None,
        "concept_threshold": concept.threshold if concept else None,
        "every_seconds": use_case.monitor.every.total_seconds(),
    }


def _margin(newest: Result | None, use_case: UseCase) -> float | None:
    if newest is None or newest.reference is None:
        return None
    return MEASURES[use_case.task].tolerated(use_case.monitor.retrain.margin, newest.reference)


def _left(decision: RetrainDecision | None, use_case: UseCase) -> float | None:
    """Return how many trainings the month's budget has left."""
    if decision is None:
        return None
    month = decision.evidence.now - MONTH
    started = sum(one.as_of > month for one in decision.evidence.attempts) + decision.start
    return max(use_case.monitor.retrain.max_per_month - started, 0)
