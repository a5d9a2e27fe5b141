"""One look at a use case, from the log to the alerts and the training.

A part that fails is told and keeps no other from being judged: a damaged file, a package that is not here, a feature
function that raises. What was judged is one event; what is wrong becomes alerts; then the policy decides about
training, by the windows on record.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
import sqlalchemy as sa

from flywheel.alerts import Alert, Finding, read_board
from flywheel.database import open_database
from flywheel.errors import FlywheelError, StackError
from flywheel.events import EventKind, append
from flywheel.fields import read_fields
from flywheel.identities import MONITORING
from flywheel.package import ModelPackage
from flywheel.settings import Settings
from flywheel.storage import PredictionLog
from flywheel.usecase import UseCase, load_usecase
from monitoring.alerts.desk import Desk
from monitoring.concept.days import Days
from monitoring.drift.decision import DriftDecision
from monitoring.job import Result, Training, consider_training, judge_window, known_of
from monitoring.look import findings as say
from monitoring.look.drifting import judge_drift, state_path
from monitoring.look.due import due_spans
from monitoring.look.inputs import Inputs, judge_inputs
from monitoring.look.losses import MEMORY, judge_losses
from monitoring.look.pages import show
from monitoring.packages import digests_by_version, read_packages
from monitoring.performance.answers import with_losses
from monitoring.performance.harm import Verdict
from monitoring.performance.measure import MEASURES
from monitoring.performance.metrics import Metric, realised_metrics
from monitoring.performance.slices import Slices, judge_slices
from monitoring.reports.metrics import publish
from monitoring.reports.publication import Check
from monitoring.windows.keys import CHAMPION, Key
from monitoring.windows.lens import lens_of
from monitoring.windows.store import BlockStore
from monitoring.windows.update import Source, Update, update_blocks
from monitoring.windows.window import Span, Window, read_window

T = TypeVar("T")


@dataclass
class Looked:
    """What a look has found; a part that could not be judged is None or empty, and named in `failures`.

    Attributes:
        update: What was new in the log.
        windows: That were due, with what came of them.
        drift: By version.
        concept: Of the champion's daily losses.
        inputs: Of the champion's newest rows.
        metrics: Realised, of the newest rows with outcomes.
        slices: The same rows by parts.
        training: What was decided; None where it was not to be considered.
        failures: Parts that failed, and why.
        alerts: That are open now.
    """

    update: Update = field(default_factory=Update)
    windows: list[tuple[Span, Result]] = field(default_factory=list)
    drift: dict[str, DriftDecision] = field(default_factory=dict)
    concept: Days | None = None
    inputs: Inputs | None = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    slices: Slices | None = None
    training: Training | None = None
    failures: list[tuple[str, str]] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)

    def body(self) -> dict[str, Any]:
        """Return what was judged as plain JSON, for an event and a page; windows have events of their own."""
        return {
            "drift": {version: decision.body() for version, decision in self.drift.items()},
            "concept": None if self.concept is None else self.concept.body(),
            "inputs": None if self.inputs is None else self.inputs.body(),
            "metrics": {name: metric.body() for name, metric in self.metrics.items()},
            "slices": None if self.slices is None else self.slices.body(),
            "outcomes": self.update.claims.body(),
            "failures": [{"part": part, "reason": reason} for part, reason in self.failures],
        }

    @property
    def examined(self) -> set[str]:
        """The kinds of findings that this look could have made: alerts of others are left as they are."""
        judged = {
            "drift": bool(self.drift),
            "columns": any(decision.looks for decision in self.drift.values()),
            "loss": bool(self.windows),
            "slice": bool(self.windows) and self.slices is not None,
            "concept": self.concept is not None,
            **dict.fromkeys(("skew", "missing", "freshness", "anomaly"), self.inputs is not None),
            "log": True,
            "look": True,
            "retraining": self.training is not None,
        }
        return {kind for kind, was in judged.items() if was}

    def attempt(self, part: str, judge: Callable[[], T]) -> T | None:
        """Judge a part; None when that fails, which is noted."""
        try:
            return judge()
        except FlywheelError as fault:
            self.failures.append((part, str(fault)))
            return None


class Look:
    """One look; `run` does it all.

    Args:
        settings: Whose home.
        engine: Of the database with the events, as monitoring.
        file: The use case's usecase.yaml.
        as_of: Nothing known later is used (naive UTC).
    """

    def __init__(self, settings: Settings, engine: sa.Engine, file: Path, as_of: datetime) -> None:
        self._settings, self._engine, self._file, self._as_of = settings, engine, file, as_of
        self._use_case = load_usecase(file)
        self._log = PredictionLog(settings.root / "log")
        self._store = BlockStore(settings.root, self._use_case.name)
        self._packages: dict[str, ModelPackage] = {}
        self.looked = Looked()

    def run(self, *, since: datetime | None, start_training: bool, tell: Callable[[Span, Result], None]) -> Looked:
        """Judge everything that there is to judge.

        Args:
            since: From when on windows are due; by default as many of the last as the policy looks back on.
            start_training: Whether a training may be decided on.
            tell: Is given each window as it is judged.

        Raises:
            StackError: The database does not answer: nothing could be recorded.
        """
        looked, monitor = self.looked, self._use_case.monitor
        span = Span(self._as_of - monitor.window, self._as_of, self._as_of)
        recent = looked.attempt("The newest rows", lambda: read_window(self._log, self._use_case, span))
        if recent is not None and recent.rows.height:
            self._packages = looked.attempt("The packages", lambda: self._read(recent.rows)) or {}
            self._judge_blocks()
            self._judge_recent(recent)
        looked.attempt("The windows", lambda: self._judge_windows(since, tell))
        if start_training:
            request = Check(self._file, self._use_case, span, start_training=True)
            looked.training = looked.attempt("Training", lambda: self._train(request))
        self._finish(recent)
        return looked

    def _read(self, rows: pl.DataFrame) -> dict[str, ModelPackage]:
        return read_packages(self._settings.root, self._use_case.name, digests_by_version(rows))

    def _judge_blocks(self) -> None:
        looked, name = self.looked, self._use_case.name
        lenses = {version: lens_of(package) for version, package in self._packages.items()}
        source = Source(self._log, name, lenses.get, self._use_case.data.label.available_after)
        updated = looked.attempt("The blocks", lambda: update_blocks(self._store, source, self._as_of))
        if updated is None:
            return
        looked.update = updated
        for version in self._packages:
            decision = looked.attempt(f"Drift of version {version}", partial(self._drift, version))
            if decision is not None:
                looked.drift[version] = decision

    def _drift(self, version: str) -> DriftDecision:
        key = Key(version, CHAMPION)
        return judge_drift(
            self._packages[version],
            self._store.series(key),
            state_path(self._settings.root, self._use_case.name, version),
            changed=self.looked.update.changed.get(key, ()),
            as_of=self._as_of,
        )

    def _judge_recent(self, recent: Window) -> None:
        looked, use_case = self.looked, self._use_case
        champion = next(iter(self._packages), None)
        if champion is None:
            return
        own = recent.rows.filter(pl.col("model_version") == champion)
        looked.inputs = looked.attempt("The inputs", lambda: judge_inputs(champion, own, self._packages[champion]))
        looked.concept = looked.attempt("The losses", lambda: self._losses(champion))
        contracts = {version: package.contract for version, package in self._packages.items()}
        labelled = looked.attempt("The answers", lambda: with_losses(recent.labelled, use_case.task, contracts))
        if labelled is None or labelled.is_empty():
            return
        costs = use_case.evaluate.costs
        looked.metrics = looked.attempt("Metrics", lambda: realised_metrics(labelled, use_case.task, costs)) or {}
        columns = tuple(dict.fromkeys((*use_case.evaluate.slices, *use_case.monitor.slices)))
        if columns:
            looked.slices = looked.attempt("Slices", lambda: self._slices(champion, labelled, columns))

    def _losses(self, version: str) -> Days:
        use_case, package = self._use_case, self._packages[version]
        span = Span(self._as_of - MEMORY, self._as_of, self._as_of)
        rows = read_window(self._log, use_case, span).labelled.filter(pl.col("model_version") == version)
        return judge_losses(
            with_losses(rows, use_case.task, {version: package.contract}),
            MEASURES[use_case.task],
            delay=use_case.data.label.available_after,
            as_of=self._as_of,
            false_alarms_per_year=use_case.monitor.drift.false_alarms_per_year,
        )

    def _slices(self, version: str, labelled: pl.DataFrame, columns: tuple[str, ...]) -> Slices:
        contract = self._packages[version].contract
        own = labelled.filter(pl.col("model_version") == version)
        inputs = read_fields(own, "inputs", {one.name: one.type for one in contract.columns if one.name in columns})
        return judge_slices(own.select("event_time", "loss").hstack(inputs), columns, MEASURES[self._use_case.task])

    def _judge_windows(self, since: datetime | None, tell: Callable[[Span, Result], None]) -> None:
        spans = list(due_spans(self._engine, self._log, self._use_case, since=since, as_of=self._as_of))
        for span in spans:
            request = Check(self._file, self._use_case, span, start_training=False)
            result = self.looked.attempt(f"Window {span}", partial(judge_window, self._settings, self._engine, request))
            if result is not None:
                self.looked.windows.append((span, result))
                tell(span, result)

    def _train(self, request: Check) -> Training:
        alarms = [decision.reason for decision in self.looked.drift.values() if decision.alarms]
        known = known_of(self._settings, request, drift=alarms[0] if alarms else None)
        return consider_training(self._settings, self._engine, request, known)

    def _finish(self, recent: Window | None) -> None:
        """Record what was judged, tell people, and show it."""
        looked, name = self.looked, self._use_case.name
        try:
            if looked.drift or looked.concept or looked.failures:
                with self._engine.begin() as connection:
                    body = {"as_of": self._as_of.isoformat(), **looked.body()}
                    append(connection, EventKind.MONITOR_LOOK, name, MONITORING, body)
            board = Desk(self._engine).report(
                name, self._findings(), examined=looked.examined, policy=self._use_case.monitor.alerts
            )
        except sa.exc.SQLAlchemyError as fault:
            what = str(fault).splitlines()[0]
            raise StackError(f"The database of the events fails: {what}. See `flywheel status`.") from fault
        looked.alerts = board.of(name)
        publish(
            self._settings.root,
            name,
            at=datetime.now(UTC),
            figures=figures(looked, self._use_case, recent),
            alerts=looked.alerts,
        )
        show(self._settings, self._use_case, looked.body(), looked.drift, self._as_of)

    def _findings(self) -> list[Finding]:
        looked, file = self.looked, str(self._file)
        where = f"flywheel monitor {file} --since {self._as_of - self._use_case.monitor.window:%Y-%m-%d}"
        then = looked.training.decision.next_sentence if looked.training else "Nothing is trained by this look."
        found: list[Finding] = []
        with self._engine.connect() as connection:
            found += say.standing(read_board(connection, self._use_case.name).of(self._use_case.name), looked.drift)
        for version, decision in looked.drift.items():
            found += say.of_drift(decision, version, where, then)
        harmed = [(span, result) for span, result in looked.windows if result.verdict == Verdict.HARM]
        found += [say.of_window(result.reason, span, result.report_url or where, then) for span, result in harmed[-1:]]
        if looked.concept is not None:
            found += say.of_concept(looked.concept, self._as_of, where, then)
        if looked.inputs is not None:
            found += say.of_inputs(looked.inputs, next(iter(self._packages)), where)
        if looked.slices is not None and looked.windows:
            found += say.of_slices(looked.slices, looked.windows[-1][0], where)
        found += say.of_files(looked.update.quarantined, self._as_of)
        found += say.of_failures(looked.failures, self._as_of, file)
        if looked.training is not None:
            found += say.of_training(looked.training.decision.alert, looked.training.fault, self._as_of, then)
        return found


def figures(looked: Looked, use_case: UseCase, recent: Window | None) -> dict[str, float | None]:
    """Return what Prometheus is told of a look, by the names of `monitoring.reports.metrics.GAUGES`."""
    newest = looked.windows[-1][1] if looked.windows else None
    drift = next((one for one in looked.drift.values() if one.threshold is not None), None)
    concept = looked.concept.now if looked.concept is not None else None
    counts = recent.counts if recent is not None else None
    measured = {name: metric.value for name, metric in looked.metrics.items()}
    return {
        "loss": newest.loss if newest else None,
        "loss_reference": newest.reference if newest else None,
        "roc_auc": measured.get("roc_auc"),
        "cost": measured.get("cost"),
        "answered": counts.answered if counts else None,
        "labelled": counts.labelled if counts else None,
        "censored": counts.censored if counts else None,
        "drift_evidence": drift.e_value if drift else None,
        "drift_threshold": drift.threshold if drift else None,
        "concept_evidence": concept.e_value if concept else None,
        "concept_threshold": concept.threshold if concept else None,
        "every_seconds": use_case.monitor.every.total_seconds(),
    }


def look(
    settings: Settings,
    file: Path,
    *,
    since: datetime | None,
    as_of: datetime,
    start_training: bool,
    tell: Callable[[Span, Result], None],
) -> Looked:
    """Look at a use case once; see `Look.run`.

    Raises:
        StackError: The stack has not been started, or its database does not answer.
    """
    with open_database(settings, "monitoring") as engine:
        return Look(settings, engine, file, as_of).run(since=since, start_training=start_training, tell=tell)
