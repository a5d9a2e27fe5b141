"""The loop, told in order: stack, training, review, deployment, traffic, monitoring, retraining, a bad version."""

import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from flywheel.connections import endpoints
from flywheel.database import open_database
from flywheel.demo.accounting import Account, wait_for_records
from flywheel.demo.commands import Running, start
from flywheel.demo.comparison import auc_gain
from flywheel.demo.flights import (
    between,
    draw,
    load_flights,
    outcomes_of,
    requests_of,
    write_broken_use_case,
)
from flywheel.demo.narrator import Narrator
from flywheel.demo.people import await_gates, break_glass, move_to_production, newest_version
from flywheel.demo.plan import PACE, Plan, Window
from flywheel.demo.replay import Answer, replay
from flywheel.errors import FlywheelError, UsageError
from flywheel.events import Event, EventKind, read
from flywheel.identities import ADMIN
from flywheel.settings import Settings
from flywheel.signing import trusted_key, verify_stored
from flywheel.storage import PredictionLog, append_outcomes
from flywheel.usecase import UseCase, load_usecase

FLIGHTS = Path("examples/flights")
RAIN = Path("examples/seattle-rain")
AUTHOR, REVIEWER, ROBOT = "ada", "grace", "svc-training"
TRAINING_SECONDS, DEPLOY_SECONDS, MONITOR_SECONDS, SETTLE_SECONDS = 400.0, 400.0, 400.0, 60.0
ROLLED_BACK = 3  # what `flywheel deploy` ends with when a version was rolled back


@dataclass
class Story:
    """One demo under way, and what it has seen so far."""

    settings: Settings
    plan: Plan
    narrator: Narrator
    answers: list[Answer] = field(default_factory=list)
    refusals: int = 0
    rain_answers: int = 0
    windows: list[dict[str, Any]] = field(default_factory=list)
    rollout: Running | None = None
    report_url: str = ""
    first_retrained_at: datetime | None = None
    stayed_back: bool = False

    def __post_init__(self) -> None:
        for folder in (FLIGHTS, RAIN):
            if not (folder / "usecase.yaml").exists():
                raise UsageError(f"{folder} is not here. Run the demo in a checkout of Flywheel.")
        self.use_case: UseCase = load_usecase(FLIGHTS / "usecase.yaml")
        self.rain: UseCase = load_usecase(RAIN / "usecase.yaml")

    def tell(self) -> None:
        """Play everything, in order."""
        self.narrator.step("Stack up: Postgres, S3, MLflow, gateway")
        self._command("down", ["flywheel", "down", "--erase"], 120)
        (self.settings.root / "run").mkdir(parents=True, exist_ok=True)
        (self.settings.root / MARKER).touch()
        self._command("up", ["flywheel", "up"], 240)
        self.narrator.step("Train: flights and, beside it, a second tiny use case (rain in Seattle)")
        self._train_first()
        self.narrator.step("Review: the author is refused, the reviewer approves")
        for use_case in (self.use_case, self.rain):
            self._review(use_case.name, author=AUTHOR)
        self.narrator.step("Deploy: the first versions go live")
        self._command("deploy-first", ["flywheel", "deploy"], DEPLOY_SECONDS)
        self._ask_about_rain()
        flights = load_flights(FLIGHTS, self.use_case)
        self.sample = draw(flights, self.use_case, self.plan)
        self.narrator.step(f"Live: {self.sample.height:,} flights, drawn at random, one a request")
        self._live()
        self.narrator.step("Account: every answer has its record; what retraining was worth")

    def _train_first(self) -> None:
        trials = [] if self.plan.trials is None else ["-P", f"trials={self.plan.trials}"]
        flights = self._train("train-flights", FLIGHTS / "usecase.yaml", user=AUTHOR, more=trials)
        rain = self._train("train-rain", RAIN / "usecase.yaml", user=AUTHOR, more=["-P", "trials=2"])
        flights.wait(TRAINING_SECONDS)
        rain.wait(TRAINING_SECONDS)

    def _train(self, name: str, path: Path, *, user: str, more: list[str]) -> Running:
        command = ["mlflow", "run", ".", "--env-manager", "local", "--experiment-name", load_usecase(path).name]
        command += ["-P", f"usecase={path}", *more]
        return start(self.settings, name, command, user=user)

    def _review(self, model: str, *, author: str, despite: str = "") -> str:
        """Let the author be refused and the reviewer approve; `despite` is the reason to go past gates that fail."""
        version = newest_version(self.settings, model)
        refusal = move_to_production(self.settings, author, model, version)
        if refusal is None:
            raise FlywheelError(f"{author} moved an own version of '{model}' to Production: the gate does not hold.")
        self.refusals += 1
        self.narrator.note(f"{author}: [yellow]{refusal.sentence}[/yellow]")
        gates = await_gates(self.settings, REVIEWER, model, version)
        self.narrator.note(f"Gates of version {version} of {model}: {gates.passed} passed")
        for sentence in gates.others:
            self.narrator.note(f"[red]{sentence}[/red]")
        if gates.others and despite:
            break_glass(self.settings, ADMIN, model, version, despite)
            self.narrator.note(f"{ADMIN} breaks the glass for version {version} of {model}: {despite}")
            return version
        again = move_to_production(self.settings, REVIEWER, model, version)
        if again is not None:
            raise FlywheelError(f"{REVIEWER} may review, but was refused: {again.sentence}")
        self.narrator.note(f"{REVIEWER}: version {version} of {model} is in Production")
        return version

    def _ask_about_rain(self) -> None:
        rows = requests_of(load_flights(RAIN, self.rain).tail(100), self.rain)
        entity = self.rain.data.entity or self.rain.data.event_time
        self.rain_answers = sum(
            1 for answer in replay(self._url(self.rain), rows, entity=entity) if answer.status == 200
        )
        self.narrator.note(f"{self.rain.name}: {self.rain_answers} of {len(rows)} answered by the same stack")

    def _live(self) -> None:
        clock = self.plan.windows[0].start
        bad_version_came = False
        for index, window in enumerate(self.plan.windows):
            if self.rollout is not None and not self.rollout.running():
                self._end_rollout()
            if index >= self.plan.bad_version_from and self.rollout is None and not bad_version_came:
                self._push_bad_version(clock)
                bad_version_came = True
            self._traffic(clock, window.checked_at)
            clock = window.checked_at
            self._monitor(window)
        if self.rollout is not None:
            self._end_rollout()

    def _traffic(self, start_time: datetime, end_time: datetime) -> None:
        flights = between(self.sample, self.use_case, start_time, end_time)
        if not flights.height:
            return
        began = time.monotonic()
        entity = self.use_case.data.entity or self.use_case.data.event_time
        answers = replay(self._url(self.use_case), requests_of(flights, self.use_case), entity=entity, pace=PACE)
        self.answers += answers
        append_outcomes(self._log(), self.use_case.name, outcomes_of(flights, self.use_case))
        served = sorted({answer.version for answer in answers if answer.version})
        rate = len(answers) / (time.monotonic() - began)
        self.narrator.note(
            f"{start_time:%d %b} to {end_time:%d %b}: {len(answers):,} requests at {rate:,.0f}/s, "
            f"answered by version {' and '.join(served)}"
        )

    def _monitor(self, window: Window) -> None:
        result_file = self.settings.root / "run" / f"monitor-{window.start:%Y-%m}.json"
        command = ["flywheel", "monitor", str(FLIGHTS / "usecase.yaml")]
        command += ["--start", window.start.isoformat(), "--end", window.end.isoformat()]
        command += ["--as-of", window.checked_at.isoformat(), "--json", str(result_file)]
        self._command(f"monitor-{window.start:%Y-%m}", command, MONITOR_SECONDS)
        result = orjson.loads(result_file.read_bytes())
        self.report_url = result["report_url"] or self.report_url
        self.windows.append({"window": f"{window.start:%Y-%m}", **result})
        self.narrator.note(f"{window.start:%B} is [bold]{result['verdict']}[/bold]: {result['reason']}")
        if result["training"]:
            self.narrator.note(result["training"])
        if result["retrained_version"]:
            self.first_retrained_at = self.first_retrained_at or window.checked_at
            version = self._review(self.use_case.name, author=ROBOT)
            self._start_rollout(version)

    def _push_bad_version(self, as_of: datetime) -> None:
        folder = self.settings.root / "run" / "flights-broken"
        broken = write_broken_use_case(FLIGHTS, folder, self.use_case, as_of)
        self.narrator.note("A bad version: its calendar ends for flights out of JFK")
        more = ["-P", "trials=1", "-P", f"as_of={as_of.isoformat()}"]
        self._train("train-bad", broken, user=AUTHOR, more=more).wait(TRAINING_SECONDS)
        version = self._review(self.use_case.name, author=AUTHOR, despite="the demo wants to see what the canary does")
        self._start_rollout(version)

    def _start_rollout(self, version: str) -> None:
        name = f"deploy-{version}"
        self.rollout = start(self.settings, name, ["flywheel", "deploy"], accepted=(0, ROLLED_BACK))
        deadline = time.monotonic() + DEPLOY_SECONDS
        while self.rollout.running() and not self._rollout_steps(version):
            if time.monotonic() > deadline:
                raise FlywheelError(
                    f"Version {version} got no traffic within {DEPLOY_SECONDS:.0f} s; see {self.rollout.log}."
                )
            time.sleep(0.3)
        self.narrator.note(f"Version {version} is up and gets its first share of the traffic")

    def _rollout_steps(self, version: str) -> list[Event]:
        return self.events(EventKind.ROLLOUT_STEP, f"{self.use_case.name}/{version}")

    def _end_rollout(self) -> None:
        assert self.rollout is not None  # noqa: S101  callers have looked
        code = self.rollout.wait(SETTLE_SECONDS)  # without traffic nothing more can be decided
        self.rollout = None
        if code == ROLLED_BACK:
            self.narrator.note("The canary rolled it back by itself; deploying again leaves it back")
            self.stayed_back = self._command("deploy-again", ["flywheel", "deploy"], DEPLOY_SECONDS) == 0
        else:
            self.narrator.note("The canary was promoted")

    def _command(self, name: str, command: list[str], timeout: float) -> int:
        return start(self.settings, name, command).wait(timeout)

    def _url(self, use_case: UseCase) -> str:
        return f"{endpoints(self.settings).gateway_url}/{use_case.name}/invocations"

    def _log(self) -> Path:
        return self.settings.root / "log"

    def account(self) -> Account:
        """Compare answers with records."""
        return wait_for_records(PredictionLog(self._log()), self.use_case.name, self.answers)

    def events(self, kind: EventKind | None = None, subject: str | None = None) -> list[Event]:
        """Return the events of the demo, all of them or those of one kind and subject."""
        with open_database(self.settings, "reader") as engine, engine.connect() as connection:
            return read(connection, kind, subject)

    def gain(self) -> float:
        """Return the AUC of the loop minus that of the first version, after the first retraining; 0 without one."""
        if self.first_retrained_at is None:
            return 0.0
        found = (self.settings.root / "packages" / self.use_case.name).glob("1-*")
        packages = sorted(folder for folder in found if folder.is_dir())
        if not packages:
            raise FlywheelError("The first version's package is gone, so its predictions cannot be compared.")
        if (key := trusted_key(self.settings.root)) is not None:
            verify_stored(packages[0], key)
        data = self.use_case.data
        rows = self.sample.filter(pl.col(data.event_time) >= self.first_retrained_at)
        seen = pl.DataFrame(
            [(a.entity, a.probability) for a in self.answers if a.probability is not None],
            schema={"entity": pl.String, "probability": pl.Float64},
            orient="row",
        )
        return auc_gain(packages[0], rows, data.label.column, seen, data.entity or data.event_time)


MARKER = "run/made-by-demo"


def refuse_foreign_home(settings: Settings) -> None:
    """Make sure that starting over destroys nothing but a former demo.

    Raises:
        UsageError: The home holds a stack that no demo made.
    """
    kept = [name for name in ("postgres", "objects", "log") if (settings.root / name).exists()]
    if kept and not (settings.root / MARKER).exists():
        raise UsageError(
            f"{settings.root} holds a stack that the demo did not make, and the demo starts over. "
            "Set FLYWHEEL_HOME to another folder, or remove it with `flywheel down --erase`."
        )
