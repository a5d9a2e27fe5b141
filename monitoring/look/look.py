"""One look at a use case, from the log to the alerts and the training.

A part that fails is told and keeps no other from being judged: a damaged file, a package that is not here, a feature
function that raises. What was judged is one event; what is wrong becomes alerts; then the policy decides about
training, by the windows on record.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import polars as pl
import sqlalchemy as sa

from flywheel.alerts import Finding, read_board
from flywheel.database import open_database
from flywheel.errors import StackError
from flywheel.events import EventKind, append, read_kinds
from flywheel.identities import MONITORING
from flywheel.package import ModelPackage
from flywheel.profiling.series import Series
from flywheel.profiling.series_file import read_series
from flywheel.settings import Settings
from flywheel.storage import PredictionLog
from flywheel.usecase import load_usecase
from monitoring.alerts.desk import Desk
from monitoring.concept.days import Days
from monitoring.concept.judgement import judge_losses
from monitoring.concept.memory import FEW, LONG_MEMORY, MEMORY, begin_of, unseen_rows
from monitoring.drift.decision import DriftDecision
from monitoring.job import Result, judge_window, known_of, run_training
from monitoring.look import findings as say
from monitoring.look.alarms import ALERTED, closed_before, earlier, of_drift, standing_drift, unanswered
from monitoring.look.budget import concept_alarms
from monitoring.look.columns import of_columns, of_missing, told_before
from monitoring.look.drifting import judge_drift, state_path
from monitoring.look.due import due_spans
from monitoring.look.estimated import estimated_window
from monitoring.look.inputs import judge_inputs
from monitoring.look.looked import Looked, figures
from monitoring.look.outages import outages
from monitoring.look.pages import show
from monitoring.look.recent import changes_of, outlook_of, summary_of
from monitoring.packages import digests_by_version, find_package, read_packages
from monitoring.performance.answers import with_losses
from monitoring.performance.harm import Verdict
from monitoring.performance.measure import MEASURES
from monitoring.reports.metrics import publish
from monitoring.reports.publication import Check
from monitoring.retraining.policy import RetrainDecision
from monitoring.retraining.retrain import claim
from monitoring.rows.question import Asked
from monitoring.windows.keys import CHAMPION, Key
from monitoring.windows.packages import PackageLenses
from monitoring.windows.store import BlockStore
from monitoring.windows.update import Source, update_blocks
from monitoring.windows.window import Span, read_window

Tell = Callable[[Span, Result], None]


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
        self._looked = Looked()

    def run(self, *, since: datetime | None, start_training: bool, tell: Tell) -> Looked:
        """Judge everything that there is to judge.

        Args:
            since: From when on windows are due; by default as many of the last as the policy looks back on.
            start_training: Whether a training may be decided on.
            tell: Is given each window as it is judged.

        Raises:
            StackError: The database does not answer: nothing could be recorded.
        """
        looked, monitor = self._looked, self._use_case.monitor
        span = Span(self._as_of - monitor.window, self._as_of, self._as_of)
        recent = looked.attempt("The newest rows", lambda: read_window(self._log, self._use_case, span))
        if recent is not None and recent.rows.height:
            looked.counts = recent.counts
            self._packages = looked.attempt("The packages", lambda: self._read(recent.rows)) or {}
        if recent is None or recent.rows.height:  # blocks leave out what cannot be read, and windows cannot
            self._judge_blocks()
        if recent is not None:
            self._judge_recent(recent.rows)
        looked.attempt("The windows", lambda: self._judge_windows(since, tell))
        self._judge_by_estimate()
        request = Check(self._file, self._use_case, span, start_training=start_training)
        if start_training:
            looked.decision = looked.attempt("The decision about training", lambda: self._decide(request))
        try:
            self._record()
            self._show()
            if looked.decision is not None:  # people know by now: a training may take hours
                self._train(request, looked.decision)
        except sa.exc.SQLAlchemyError as fault:
            what = str(fault).splitlines()[0]
            raise StackError(f"The database of the events fails: {what}. See `flywheel status`.") from fault
        return looked

    @property
    def _recent(self) -> datetime:
        """Since when something that is over is told: as far back as the policy looks."""
        return self._as_of - self._use_case.monitor.window * self._use_case.monitor.retrain.harm.of

    def _read(self, rows: pl.DataFrame) -> dict[str, ModelPackage]:
        return read_packages(self._settings.root, self._use_case.name, digests_by_version(rows))

    def _find(self, version: str) -> ModelPackage | None:
        return find_package(self._settings.root, self._use_case.name, version)

    def _judge_blocks(self) -> None:
        looked, use_case = self._looked, self._use_case
        lenses = PackageLenses(self._settings.root, use_case.name)
        source = Source(self._log, use_case.name, use_case.task, lenses, use_case.data.label.available_after)
        updated = looked.attempt("The blocks", lambda: update_blocks(self._store, source, self._as_of))
        if updated is None:
            return
        looked.update = updated
        if not self._packages:
            versions = [key.version for key in self._store.kept()]
            found = {one: looked.attempt(f"The package of version {one}", partial(self._find, one)) for one in versions}
            self._packages = {version: package for version, package in found.items() if package is not None}
        for version in self._packages:
            decision = looked.attempt(f"Drift of version {version}", partial(self._drift, version))
            if decision is not None:
                looked.drift[version] = decision
        looked.outages = looked.attempt("The columns", lambda: outages(self._blocks(), self._as_of))

    def _blocks(self) -> Iterator[tuple[Series, Series]]:
        for version, package in self._packages.items():
            live = self._store.series(Key(version, CHAMPION))
            if package.blocks is not None and live is not None:
                yield read_series(package.blocks), live

    def _drift(self, version: str) -> DriftDecision:
        key = Key(version, CHAMPION)
        return judge_drift(
            self._packages[version],
            self._store.series(key),
            state_path(self._settings.root, self._use_case.name, version),
            changed=self._looked.update.changed.get(key, ()),
            as_of=self._as_of,
        )

    def _judge_recent(self, rows: pl.DataFrame) -> None:
        looked, use_case = self._looked, self._use_case
        champion = next(iter(self._packages), None)  # who has answered most
        if champion is None:
            return
        package, own = self._packages[champion], pl.col("model_version") == champion
        looked.inputs = looked.attempt("The inputs", lambda: judge_inputs(champion, rows.filter(own), package))
        looked.summary = looked.attempt("The outcomes", lambda: summary_of(rows, use_case, self._packages))
        span = Span(self._as_of - MEMORY, self._as_of, self._as_of)
        longer = looked.attempt("The losses", lambda: read_window(self._log, use_case, span).rows.filter(own))
        if longer is None:
            return
        looked.concept = looked.attempt("The losses", lambda: self._losses(champion, longer))
        changes = changes_of(looked.concept)
        looked.outlook = looked.attempt(
            "The estimate", lambda: outlook_of(longer, use_case, package, as_of=self._as_of, changes=changes)
        )

    def _losses(self, version: str, rows: pl.DataFrame) -> Days:
        task, package, memory = self._use_case.task, self._packages[version], MEMORY
        if rows.height < FEW:
            memory, span = LONG_MEMORY, Span(self._as_of - LONG_MEMORY, self._as_of, self._as_of)
            rows = read_window(self._log, self._use_case, span).rows.filter(pl.col("model_version") == version)
        begin = begin_of(self._as_of, memory)
        labelled = rows.filter(pl.col("outcome").is_not_null() & (pl.col("event_time") >= begin))
        return judge_losses(
            with_losses(labelled, task, {version: package.contract}),
            MEASURES[task],
            false_alarms_per_year=concept_alarms(self._use_case.monitor.drift),
            complete_before=self._as_of - self._use_case.data.label.available_after,
            tested=unseen_rows(version, package),
        )

    def _judge_windows(self, since: datetime | None, tell: Tell) -> None:
        spans = list(due_spans(self._engine, self._log, self._use_case, since=since, as_of=self._as_of))
        for span in spans:
            request = Check(self._file, self._use_case, span, start_training=False)
            judged = partial(judge_window, self._settings, self._engine, request)
            result = self._looked.attempt(f"Window {span}", judged)
            if result is not None:
                self._looked.windows.append((span, result))
                tell(span, result)

    def _judge_by_estimate(self) -> None:
        """Let the estimate say of the newest window what outcomes are too few to say."""
        looked, outlook = self._looked, self._looked.outlook
        champion = next(iter(self._packages.values()), None)
        if outlook is None or champion is None:
            return
        few = [one for span, one in looked.windows if span.end == outlook.end and one.verdict == Verdict.TOO_FEW]
        body = estimated_window(outlook, champion.profile.reference.loss, self._use_case) if few else None
        if body is not None:
            counts = {"answered": few[0].answered, "labelled": few[0].rows, "as_of": self._as_of.isoformat()}
            with self._engine.begin() as connection:
                append(connection, EventKind.MONITOR_WINDOW, self._use_case.name, MONITORING, {**body, **counts})
            looked.estimated = body

    def _decide(self, request: Check) -> RetrainDecision:
        drifted = [version for version, decision in self._looked.drift.items() if decision.alarms]
        alarms = [f"Version {version} has drifted." for version in drifted]
        known = known_of(self._settings, request, self._packages, drift=alarms[0] if alarms else None)
        return claim(self._engine, self._use_case, known)

    def _train(self, request: Check, decision: RetrainDecision) -> None:
        """Train where that was decided, and tell people how it ended."""
        looked, name = self._looked, self._use_case.name
        looked.training = run_training(self._settings, self._engine, request, decision)
        then, fault = decision.next_sentence, looked.training.fault
        logs = str(self._settings.root / "logs" / f"retrain-{name}-*.log")
        found = list(say.of_training(decision.alert, fault, self._as_of, then, logs))
        policy = self._use_case.monitor.alerts
        looked.alerts = Desk(self._engine).report(name, found, examined=("retraining",), policy=policy).of(name)

    def _record(self) -> None:
        """Write the event of what was judged, and those of alerts."""
        looked, name = self._looked, self._use_case.name
        looked.earlier = earlier(looked.drift.values(), looked.outages or (), self._recent)
        if looked.has_judged:
            with self._engine.begin() as connection:
                body = {"as_of": self._as_of.isoformat(), **looked.body()}
                append(connection, EventKind.MONITOR_LOOK, name, MONITORING, body)
        policy = self._use_case.monitor.alerts
        board = Desk(self._engine).report(name, self._findings(), examined=looked.examined, policy=policy)
        looked.alerts = board.of(name)

    def _show(self) -> None:
        looked, name = self._looked, self._use_case.name
        told = figures(looked, self._use_case)
        publish(self._settings.root, name, at=datetime.now(UTC), figures=told, alerts=looked.alerts)
        show(self._settings, self._use_case, looked.body(), looked.drift, self._as_of)

    def _findings(self) -> list[Finding]:
        looked, name, recent = self._looked, self._use_case.name, self._recent
        asked, begin = Asked(self._file, self._as_of), self._as_of - self._use_case.monitor.window
        then = looked.decision.next_sentence if looked.decision else "Nothing is trained by this look."
        with self._engine.connect() as connection:
            standing = read_board(connection, name).of(name)
            known = read_kinds(connection, (*ALERTED, EventKind.ALERT_CLOSED), (name,))
        found = list[Finding]()
        for version, decision in looked.drift.items():
            drifted = of_drift(decision, version, standing, recent=recent, asked=asked)
            found += unanswered(drifted, name, closed_before(known), self._use_case.monitor.drift.block)
        found += standing_drift(standing, looked.drift)  # of two of one kind and key the first counts: what is newer
        found += of_columns(looked.outages or (), standing, told_before(known), recent=recent, asked=asked)
        harmed = [(span, result) for span, result in looked.windows if result.verdict == Verdict.HARM]
        found += [say.of_window(result.reason, span, result.report_url, asked, then) for span, result in harmed[-1:]]
        if looked.estimated is not None and looked.estimated["verdict"] == Verdict.HARM:
            found.append(say.of_estimate(looked.estimated, asked, then))
        if looked.concept is not None:
            found += say.of_concept(looked.concept, self._as_of, asked, then)
        if looked.inputs is not None:
            found += say.of_inputs(looked.inputs, next(iter(self._packages)), begin, asked)
            gone = {one.column for one in looked.outages or () if one.lasts}
            found += of_missing(looked.inputs.jumps, gone, standing, asked=asked)
        if looked.summary is not None:
            found += say.of_slices(looked.summary.slices, begin, asked)
        found += say.of_outcomes(looked.update.claims, self._as_of, asked)
        found += say.of_files(looked.update.quarantined, self._as_of, self._settings.root / "log" / name)
        found += say.of_failures(looked.failures, self._as_of, self._file)
        return found


def look(
    settings: Settings, file: Path, *, since: datetime | None, as_of: datetime, start_training: bool, tell: Tell
) -> Looked:
    """Look at a use case once; see `Look.run`.

    Raises:
        StackError: The stack has not been started, or its database does not answer.
    """
    with open_database(settings, "monitoring") as engine:
        return Look(settings, engine, file, as_of).run(since=since, start_training=start_training, tell=tell)
