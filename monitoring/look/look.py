"""One look at a use case, from the log to the alerts and the training.

A part that fails is told and keeps no other from being judged: a damaged file, a package that is not here, a feature
function that raises. What was judged is one event; what is wrong becomes alerts; then the policy decides about
training, by the windows on record.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
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
from monitoring.job import Result, Tools, judge_window, known_of, run_training
from monitoring.look import findings as say
from monitoring.look.alarms import ALERTED, earlier
from monitoring.look.budget import concept_alarms
from monitoring.look.drifting import judge_drift, state_path
from monitoring.look.due import due_windows, first_start
from monitoring.look.estimated import estimated_window
from monitoring.look.gathering import Scene, gather
from monitoring.look.inputs import judge_inputs
from monitoring.look.kept import Kept, keep, last_seq, made_of, path_of
from monitoring.look.lasting import holds_until, may_be_kept
from monitoring.look.looked import Looked, figures
from monitoring.look.outages import outages
from monitoring.look.pages import show
from monitoring.look.parts import Begin, Part, silent
from monitoring.look.recalibrating import recalibrate
from monitoring.look.recent import changes_of, outlook_of, summary_of
from monitoring.look.released import first_release
from monitoring.look.trail import evidence_before
from monitoring.packages import Packages, digests_by_version
from monitoring.performance.answers import with_losses
from monitoring.performance.harm import Verdict
from monitoring.performance.measure import MEASURES
from monitoring.reports.metrics import publish
from monitoring.reports.process import ReportProcess
from monitoring.reports.publication import Check
from monitoring.retraining.policy import RetrainDecision
from monitoring.retraining.retrain import claim
from monitoring.rows.question import Asked
from monitoring.skew.release import Release
from monitoring.windows.counting import counts_by_key
from monitoring.windows.keys import CHAMPION, Key
from monitoring.windows.packages import PackageLenses
from monitoring.windows.store import BlockStore
from monitoring.windows.update import Source, update_blocks
from monitoring.windows.window import History, Span, Window, newest_answer, read_history, read_window

Tell = Callable[[Span, Result], None]


class Look:
    """One look; `run` does it all.

    Args:
        settings: Whose home.
        engine: Of the database with the events, as monitoring.
        file: The use case's usecase.yaml.
        as_of: Nothing known later is used (naive UTC).
        begin: Is told of each part as it begins.
    """

    def __init__(self, settings: Settings, engine: sa.Engine, file: Path, as_of: datetime, begin: Begin) -> None:
        self._settings, self._engine, self._file, self._as_of = settings, engine, file, as_of
        self._use_case = load_usecase(file)
        self._log = PredictionLog(settings.root / "log")
        self._store = BlockStore(settings.root, self._use_case.name)
        self._kept_packages = Packages(settings.root, self._use_case.name)
        self._packages: dict[str, ModelPackage] = {}
        self._history: History | None = None
        self._looked = Looked(begin=begin)

    def run(self, *, since: datetime | None, start_training: bool, tell: Tell) -> Looked:
        """Judge everything that there is to judge.

        Args:
            since: From when on windows are due; by default as many of the last as the policy looks back on.
            start_training: Whether a training may be decided on.
            tell: Is given each window as it is judged.

        Raises:
            StackError: The database does not answer: nothing could be recorded.
        """
        looked, length = self._looked, self._use_case.monitor.window
        files = made_of(self._settings.root, self._use_case.name, self._file)  # before anything of them is read
        with ReportProcess(self._settings.root) as reports:
            first = first_start(self._use_case, since=since, as_of=self._as_of)
            recent = looked.attempt(Part.LOG, lambda: self._read(first))
            due = looked.attempt(Part.WINDOWS, lambda: self._due(first)) or []
            if due:
                reports.start()  # it imports while the other parts are judged
            if recent is not None and not recent.rows.height:
                looked.newest = looked.attempt(Part.LOG, lambda: newest_answer(self._log, self._use_case, self._as_of))
            if recent is not None and recent.rows.height:
                looked.counts = recent.counts
                looked.arms = counts_by_key(recent, self._use_case.data.label.available_after)
                digests = digests_by_version(recent.rows)
                self._packages = looked.attempt(Part.PACKAGES, lambda: self._kept_packages.answering(digests)) or {}
            if recent is None or recent.rows.height:  # blocks leave out what cannot be read, and windows cannot
                self._judge_blocks()
            if recent is not None:
                self._judge_recent(recent.rows)
            self._judge_windows(due, tell, Tools(self._kept_packages, reports))
        self._judge_by_estimate()
        move = partial(recalibrate, self._settings.root, self._engine, self._use_case, self._packages, self._as_of)
        looked.recalibrated = looked.attempt(Part.RECALIBRATION, move) or []
        request = self._request(Span(self._as_of - length, self._as_of, self._as_of), start_training=start_training)
        if start_training:
            looked.decision = looked.attempt(Part.DECISION, lambda: self._decide(request))
        try:
            self._record()
            self._show()
            if looked.decision is not None:  # people know by now: a training may take hours
                self._train(request, looked.decision)
            self._keep(files, since)
        except sa.exc.SQLAlchemyError as fault:
            what = str(fault).splitlines()[0]
            raise StackError(f"The database of the events fails: {what}. See `flywheel status`.") from fault
        return looked

    @property
    def _recent(self) -> datetime:
        """Since when something that is over is told: as far back as the policy looks."""
        return self._as_of - self._use_case.monitor.window * self._use_case.monitor.retrain.harm.of

    def _request(self, span: Span, *, start_training: bool = False) -> Check:
        return Check(self._file, self._use_case, span, start_training=start_training)

    def _read(self, first: datetime) -> Window:
        """Read once what all parts need, and return the newest rows; these alone where older ones cannot be read."""
        with suppress(StackError):  # parts that need the older rows say so
            self._history = read_history(self._log, self._use_case, min(first, self._as_of - MEMORY), self._as_of)
        return self._cut(self._as_of - self._use_case.monitor.window, self._as_of)

    def _cut(self, start: datetime, end: datetime) -> Window:
        """Return the window from `start` to `end`, as it is known now.

        Raises:
            StackError: The log cannot be read.
        """
        if self._history is not None and self._history.since <= start:
            return self._history.window(start, end)
        return read_window(self._log, self._use_case, Span(start, end, self._as_of))

    def _due(self, first: datetime) -> list[Window]:
        return due_windows(self._engine, self._use_case, self._cut, first, self._as_of)

    def _judge_blocks(self) -> None:
        looked, use_case = self._looked, self._use_case
        lenses = PackageLenses(self._kept_packages)
        source = Source(self._log, use_case.name, use_case.task, lenses, use_case.data.label.available_after)
        updated = looked.attempt(Part.BLOCKS, lambda: update_blocks(self._store, source, self._as_of))
        if updated is None:
            return
        looked.update = updated
        if not self._packages:
            versions, find = [key.version for key in self._store.kept()], self._kept_packages.find
            found = {one: looked.attempt(Part.PACKAGE, partial(find, one), f"of version {one}") for one in versions}
            self._packages = {version: package for version, package in found.items() if package is not None}
        for version in self._packages:
            decision = looked.attempt(Part.DRIFT, partial(self._drift, version), f"of version {version}")
            if decision is not None:
                looked.drift[version] = decision
        looked.outages = looked.attempt(Part.COLUMNS, lambda: outages(self._blocks(), self._as_of))
        self._judge_releases()

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

    def _judge_releases(self) -> None:
        """Hold the first rows of versions that are new against those they were trained on."""
        for version in dict.fromkeys([*self._packages, *(key.version for key in self._looked.update.changed)]):
            judged = partial(self._release, version)
            release = self._looked.attempt(Part.FIRST_WINDOWS, judged, f"of version {version}")
            if release is not None:
                self._looked.releases[version] = release

    def _release(self, version: str) -> Release | None:
        changed = {
            start for key, starts in self._looked.update.changed.items() for start in starts if key.version == version
        }
        return first_release(self._store, version, self._kept_packages.find(version), changed, self._as_of)

    def _judge_recent(self, rows: pl.DataFrame) -> None:
        looked, use_case = self._looked, self._use_case
        champion = next(iter(self._packages), None)  # who has answered most
        if champion is None:
            return
        package, own = self._packages[champion], pl.col("model_version") == champion
        looked.inputs = looked.attempt(Part.INPUTS, lambda: judge_inputs(champion, rows.filter(own), package))
        looked.summary = looked.attempt(Part.OUTCOMES, lambda: summary_of(rows, use_case, self._packages))
        judged = looked.attempt(Part.LOSSES, lambda: self._with_losses(champion))
        if judged is None:
            return
        looked.concept = looked.attempt(Part.LOSSES, lambda: self._losses(judged, champion))
        changes = changes_of(looked.concept)
        looked.outlook = looked.attempt(
            Part.ESTIMATE, lambda: outlook_of(judged, use_case, package, as_of=self._as_of, changes=changes)
        )

    def _with_losses(self, version: str) -> pl.DataFrame:
        """Return all that a version answered within memory, a longer one where that is little, with its losses."""
        own = pl.col("model_version") == version
        rows = self._cut(self._as_of - MEMORY, self._as_of).rows.filter(own)
        if rows.height < FEW:
            rows = self._cut(self._as_of - LONG_MEMORY, self._as_of).rows.filter(own)
        return with_losses(rows, self._use_case.task, {version: self._packages[version].contract})

    def _losses(self, judged: pl.DataFrame, version: str) -> Days:
        few = judged.filter(pl.col("event_time") >= self._as_of - MEMORY).height < FEW
        begin = begin_of(self._as_of, LONG_MEMORY if few else MEMORY)
        return judge_losses(
            judged.filter(pl.col("outcome").is_not_null() & (pl.col("event_time") >= begin)),
            MEASURES[self._use_case.task],
            false_alarms_per_year=concept_alarms(self._use_case.monitor.drift),
            complete_before=self._as_of - self._use_case.data.label.available_after,
            tested=unseen_rows(version, self._packages[version]),
        )

    def _judge_windows(self, due: Sequence[Window], tell: Tell, tools: Tools) -> None:
        for window in due:
            request = self._request(window.span)
            judged = partial(judge_window, self._settings, self._engine, request, window, tools)
            result = self._looked.attempt(Part.WINDOW, judged, str(window.span))
            if result is not None:
                self._looked.windows.append((window.span, result))
                tell(window.span, result)

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
        known = known_of(request, self._packages, self._cut, drift=alarms[0] if alarms else None)
        return claim(self._engine, self._use_case, known)

    def _train(self, request: Check, decision: RetrainDecision) -> None:
        """Train where that was decided, and tell people how it ended."""
        looked, name = self._looked, self._use_case.name
        if decision.start:
            looked.begin(Part.TRAINING.doing())
        looked.training = run_training(self._settings, self._engine, request, decision)
        then, fault = decision.next_sentence, looked.training.fault
        logs = say.training_logs(self._settings.root, name)
        found = list(say.of_training(decision.alert, fault, self._as_of, then, logs))
        policy = self._use_case.monitor.alerts
        looked.alerts = Desk(self._engine).report(name, found, examined=("retraining",), policy=policy).of(name)

    def _record(self) -> None:
        """Write the event of what was judged, and those of alerts."""
        looked, name = self._looked, self._use_case.name
        looked.begin(Part.RECORD.doing())
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
        looked.begin(Part.PAGES.doing())
        publish(self._settings.root, name, at=datetime.now(UTC), figures=told, alerts=looked.alerts)
        with self._engine.connect() as connection:
            trail = evidence_before(connection, name)
        show(self._settings, self._use_case, looked, self._as_of, trail)

    def _keep(self, files: str, since: datetime | None) -> None:
        """Leave what was found to the next look, where it holds for a while."""
        name, history = self._use_case.name, self._history
        if history is None or not may_be_kept(self._looked):
            return
        with self._engine.connect() as connection:
            seq = last_seq(connection, name)
        until = holds_until(self._looked, history, self._use_case, self._packages.values())
        judged = [{"window": str(span), **asdict(result)} for span, result in self._looked.windows]
        decided, body = self._looked.decision is not None, {"windows": judged, **self._looked.body()}
        made = Kept(datetime.now(UTC), self._as_of, until, files, seq, since, decided=decided, body=body)
        keep(path_of(self._settings.root, name), made)

    def _findings(self) -> list[Finding]:
        name = self._use_case.name
        with self._engine.connect() as connection:
            standing = read_board(connection, name).of(name)
            known = read_kinds(connection, (*ALERTED, EventKind.ALERT_CLOSED), (name,))
        scene = Scene(
            use_case=self._use_case,
            champion=next(iter(self._packages), ""),
            asked=Asked(self._file, self._as_of),
            begin=self._as_of - self._use_case.monitor.window,
            recent=self._recent,
            standing=standing,
            known=known,
            log=self._settings.root / "log" / name,
        )
        return gather(self._looked, scene)


def look(
    settings: Settings,
    file: Path,
    *,
    since: datetime | None,
    as_of: datetime,
    start_training: bool,
    tell: Tell,
    begin: Begin = silent,
) -> Looked:
    """Look at a use case once; see `Look` and `Look.run`.

    Raises:
        StackError: The stack has not been started, or its database does not answer.
    """
    with open_database(settings, "monitoring") as engine:
        made = Look(settings, engine, file, as_of, begin)
        return made.run(since=since, start_training=start_training, tell=tell)
