"""A version whose loss rises goes back where the use case asks for it, and is only told of elsewhere."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy.desired import Served
from deploy.evidence.lasting import LastingLosses
from deploy.evidence.plan import EvidencePlan, Loss
from deploy.evidence.references import uncut
from deploy.evidence.waiting import LATE
from deploy.loop import loss_watch
from deploy.loop.controller import Controller
from deploy.loop.fold import histories
from deploy.loop.loss_vigil import LossVigils
from deploy.loop.loss_watch import ALARMS, ENOUGH, State, loss_reference
from deploy.loop.plans import References, make_plan
from deploy.loop.progress import Progress
from deploy.loop.rollout import Phase, Rollout
from deploy.loop.vigil import Vigils
from deploy.verdict.watching import Alarms
from flywheel.errors import IntegrityError
from flywheel.events import EventKind
from flywheel.rollbacks import Cause
from flywheel.rollout_spec import Rollout as RolloutSpec
from tests.deploy.evidence.rollout_log import NAME, RolloutLog, outcome, plan, record, second
from tests.deploy.simulated import FLIGHTS, PLAIN, START, World, controller, live, run

LOSS = {"low": 0.0, "high": 4.0}
HEALS, TELLS = ("errors", "latency", "loss"), ("errors", "latency")
GOOD, BAD = 0.8, 0.3
# An alarm in 100 looks, so that a simulation sees some.
OFTEN = Alarms(a_year=10, looks_a_year=1000)


@dataclass
class Predictions:
    """A real log in which each minute has answers of what is live, of 0.8, and how often that was right.

    Args:
        log: Takes them.
        chance: Draws outcomes.
        number: Of the next answer.
        late: Outcomes come so much later.
        waiting: Numbers whose outcome has not come, with the time at which it will.
    """

    log: RolloutLog
    chance: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - a simulation, no secret
    number: int = 0
    late: timedelta = timedelta(0)
    waiting: list[tuple[datetime, int, bool]] = field(default_factory=list)

    def minute(self, version: str, now: datetime, count: int, truth: float) -> None:
        """Let a version answer so many requests, of which a part of `truth` will become true."""
        at = now.replace(tzinfo=None)
        numbers = range(self.number, self.number + count)
        self.number += count
        outputs = {"probability": 0.8, "decision": True}
        made = {"model_version": version, "event_time": at, "recorded_time": at, "outputs": outputs, "rollout": None}
        rows = [record(number) | made | {"arm": None} for number in numbers]
        if rows:
            self.log.answered(rows)
        self.waiting += [(at + self.late, number, self.chance.random() < truth) for number in numbers]
        due = [one for one in self.waiting if one[0] <= at]
        self.waiting = [one for one in self.waiting if one[0] > at]
        if due:
            said = [outcome(float(one), prediction_id=f"cn{n}", event_time=at, recorded_time=at) for _, n, one in due]
            self.log.append("outcomes", said)


@dataclass(frozen=True)
class LossObservatory:
    """Knows nothing before a rollout, and the losses of what is live by a real log."""

    log: RolloutLog
    broken: str = ""

    def references(self, champion: Served, new: Served, spec: RolloutSpec) -> References:
        return References()

    def evidence(self, rollout: Rollout) -> None:
        return None

    def losses(self, reign: Rollout) -> LastingLosses:
        if self.broken:
            raise IntegrityError(self.broken)
        how = plan(champion=reign.new.version, horizon_seconds=86_400.0)
        return LastingLosses(self.log.log, NAME, how, reign.started.replace(tzinfo=None))


@dataclass
class Watched:
    """A world in which version 2 has replaced version 1, and what its log has."""

    world: World
    folder: Path
    log: Predictions

    @property
    def observatory(self) -> LossObservatory:
        return LossObservatory(self.log.log)

    def one(self) -> Controller:
        """Return a controller that stays, as after a restart."""
        parts: dict[str, Any] = {"vigils": Vigils(self.folder / "vigils"), "observatory": self.observatory}
        return replace(controller(self.world, self.folder), **parts)

    def watch(self, minutes: int, truth: float = GOOD, *, count: int = 250, one: Controller | None = None) -> Progress:
        """Let minutes go by, with one tick each."""
        one, progress = one or self.one(), None
        for _ in range(minutes):
            self.world.now += timedelta(minutes=1)
            self.world.traffic(1000)
            champion = histories(self.world.events)[FLIGHTS].champion
            assert champion is not None
            self.log.minute(champion.version, self.world.now, count, truth)
            (progress,) = one.tick()
        assert progress is not None
        return progress

    def answers(self, count: int, truth: float = GOOD, *, ticks: int = 10, one: Controller | None = None) -> Progress:
        """Let so many requests be answered, and time pass until their outcomes have been looked at."""
        self.watch(1, truth, count=count, one=one)
        self.world.now += LATE
        return self.watch(ticks, count=0, one=one)

    def events(self, kind: EventKind) -> list[Any]:
        return [event for event in self.world.events if event.kind == kind]


def watched(folder: Path, heal: Sequence[str], **more: Any) -> Watched:
    asked: dict[str, Any] = {**PLAIN, "guard": ("errors", "loss"), "heal": tuple(heal), **more}
    world = live(World(spec=RolloutSpec(steps=(10, 50), **asked)), folder)
    world.approve("2")
    run(world, folder, requests=20_000)
    assert world.aliases == {"champion": "2"}
    made = Watched(world, folder, Predictions(RolloutLog(folder / "log")))
    made.watch(1, count=0)  # the first look: what the log takes from here on is its time
    return made


def test_where_the_use_case_asks_for_it_a_risen_loss_brings_the_last_good_version_back(tmp_path: Path) -> None:
    told = watched(tmp_path, HEALS)
    assert told.answers(2_500).reason == "Live."
    told.answers(500, BAD)
    assert told.world.aliases == {"champion": "1"}
    assert told.world.stages == {"1": "Production", "2": "Archived"}
    (event,) = told.events(EventKind.ROLLOUT_TURNED_BAD)
    assert event.body["reason"].startswith("Version 2 has turned bad. Its loss has risen to 1.")
    assert event.body["reason"].endswith(" may be.")
    back = told.events(EventKind.TRANSITION)[-1]
    assert (back.actor, back.body["rollback"]) == ("svc-controller", True)
    assert told.events(EventKind.ROLLOUT_WARNED) == []


def test_elsewhere_it_is_told_once_on_the_record_and_in_the_status_and_nothing_goes_back(tmp_path: Path) -> None:
    told = watched(tmp_path, TELLS)
    told.answers(2_500)
    told.answers(500, BAD)
    progress = told.answers(500, BAD)
    assert told.world.aliases == {"champion": "2"}
    assert progress.settled
    assert progress.reason.startswith("Live. Its loss has risen to 1.")
    assert progress.reason.endswith("so monitoring decides about retraining.")
    (event,) = told.events(EventKind.ROLLOUT_WARNED)
    assert (event.subject, event.body["metric"]) == (f"{FLIGHTS}/2", "loss")
    assert told.events(EventKind.ROLLOUT_TURNED_BAD) == []


def test_a_loss_that_is_back_is_told_no_longer(tmp_path: Path) -> None:
    told = watched(tmp_path, TELLS)
    told.answers(2_500)
    assert told.answers(300, BAD).reason != "Live."
    assert told.answers(4_000).reason == "Live."


def test_outcomes_that_come_a_day_late_are_looked_at_when_they_come(tmp_path: Path) -> None:
    told = watched(tmp_path, HEALS)
    told.log.late = timedelta(hours=20)
    told.answers(2_500)
    assert told.answers(500, BAD).reason == "Live."
    assert not (tmp_path / "log" / NAME / "outcomes").exists()
    told.world.now += timedelta(hours=20)
    assert told.watch(1, count=0).reason == "Live."  # left alone for ten minutes, as young outcomes are
    told.answers(0)
    told.log.late = timedelta(0)
    told.answers(500, BAD)
    assert told.world.aliases == {"champion": "1"}


def test_restarts_in_between_forget_nothing(tmp_path: Path) -> None:
    told, straight = watched(tmp_path / "restarted", TELLS), watched(tmp_path / "straight", TELLS)
    one, kept = straight.one(), [each.folder / "vigils" / f"{FLIGHTS}.loss.json" for each in (told, straight)]
    for truth in (GOOD,) * 8 + (BAD,) * 2:
        told.answers(250, truth, ticks=1)
        straight.answers(250, truth, ticks=1, one=one)
        assert kept[0].read_text() == kept[1].read_text()
    assert told.events(EventKind.ROLLOUT_WARNED)
    assert straight.events(EventKind.ROLLOUT_WARNED)


def test_without_any_outcome_nothing_is_found_and_nothing_is_read(tmp_path: Path) -> None:
    told = watched(tmp_path, HEALS)
    told.log.late = timedelta(days=30)

    class Unread(LastingLosses):
        def after(self, place: int, now: datetime, loss: Loss) -> tuple[list[float], int]:
            raise AssertionError("there is nothing to read")

    class Observatory(LossObservatory):
        def losses(self, reign: Rollout) -> LastingLosses:
            found = super().losses(reign)
            return Unread(found.log, found.usecase, found.plan, found.since)

    one, kept = replace(told.one(), observatory=Observatory(told.log.log)), tmp_path / "vigils" / f"{FLIGHTS}.loss.json"
    assert told.answers(10, one=one).reason == "Live."
    written = kept.stat().st_mtime_ns
    told.answers(10, one=one)
    assert kept.stat().st_mtime_ns == written


@pytest.mark.parametrize("table", ["predictions", "requests", "outcomes"])
def test_a_log_that_cannot_be_read_is_said_and_changes_nothing(tmp_path: Path, table: str) -> None:
    told = watched(tmp_path, HEALS)
    told.answers(2_500)
    state = (tmp_path / "vigils" / f"{FLIGHTS}.loss.json").read_text()
    whole = {path: path.read_bytes() for path in (tmp_path / "log" / NAME / table).glob("*.parquet")}
    told.log.log.append("outcomes", [outcome(1.0, prediction_id="cn1", recorded_time=second(0))])
    for path in whole:
        path.write_bytes(b"PAR1 and no more")
    progress = told.watch(2, count=0)
    assert progress.reason.startswith("Live. Its loss is not watched: ")
    assert "cannot be read" in progress.reason
    assert progress.settled
    assert (tmp_path / "vigils" / f"{FLIGHTS}.loss.json").read_text() == state
    for path, content in whole.items():
        path.write_bytes(content)
    assert told.watch(1, count=0).reason == "Live."


def test_a_package_that_is_not_what_was_approved_is_said_and_errors_are_watched_on(tmp_path: Path) -> None:
    told = watched(tmp_path, HEALS)
    one = replace(told.one(), observatory=LossObservatory(told.log.log, "Package 2 is damaged."))
    assert told.watch(2, one=one).reason == "Live. Its loss is not watched: Package 2 is damaged."
    assert (tmp_path / "vigils" / f"{FLIGHTS}.json").exists()


def test_where_nobody_judges_by_the_loss_nobody_watches_it(tmp_path: Path) -> None:
    told = watched(tmp_path, TELLS, guard=("errors",))
    told.answers(10)
    assert not (tmp_path / "vigils" / f"{FLIGHTS}.loss.json").exists()


def test_on_a_full_disk_the_loss_is_found_all_the_same(tmp_path: Path) -> None:
    told = watched(tmp_path, HEALS)
    told.answers(2_500)
    (tmp_path / "vigils" / f"{FLIGHTS}.loss.json.new").mkdir()  # nothing can be written there
    told.answers(500, BAD)
    assert told.world.aliases == {"champion": "1"}


@pytest.mark.parametrize("heal", [HEALS, TELLS])
def test_while_the_old_version_bakes_the_same_holds(tmp_path: Path, heal: Sequence[str]) -> None:
    told = watched(tmp_path, heal, bake=timedelta(hours=2))
    told.answers(2_500)
    progress = told.answers(500, BAD)
    rollout = histories(told.world.events)[FLIGHTS].rollouts[1]
    if heal == HEALS:
        assert (rollout.phase, rollout.cause) == (Phase.ROLLED_BACK, Cause.VERDICT)
        assert told.world.aliases == {"champion": "1"}
    else:
        assert rollout.phase is Phase.BAKING
        assert "stays warm" in progress.reason
        assert "Its loss has risen" in progress.reason


def test_what_a_use_case_does_not_heal_by_is_told_of_errors_too(tmp_path: Path) -> None:
    told = watched(tmp_path, ("loss",))
    one = told.one()
    for _ in range(10):
        told.world.traffic(1000, champion_errors=300)
        progress = told.watch(1, one=one)
    assert progress.reason.startswith("Live. errors: ")
    assert progress.reason.endswith("`rollout.heal` leaves what to do about it to people.")
    assert told.world.aliases == {"champion": "2"}
    (event,) = told.events(EventKind.ROLLOUT_WARNED)
    assert event.body["metric"] == "errors"


def reign(loss: Loss | None, values: Sequence[float] = (), **spec: Any) -> Rollout:
    """Return a rollout that has promoted version 2, whose losses in it were these."""
    made = plan(loss=loss.model_dump() if loss is not None else None)
    references = References(evidence={"plan": made.model_dump(mode="json")})
    way = make_plan(RolloutSpec(steps=(10,), **{**PLAIN, "guard": ("errors", "loss"), **spec}), 0.05, references)
    new, old = Served(NAME, "2", "d2"), Served(NAME, "1", "d1")
    found = Rollout("shop-2", new, old, way, Phase.DONE, START, START, START)
    return replace(found, reference=loss_reference(values, found))


@dataclass
class Told:
    """Losses as a test says them, one look each, cut as they are asked for."""

    looks: list[list[float]]
    plan: EvidencePlan = field(default_factory=plan)

    def newest(self) -> int:
        return len(self.looks)

    def after(self, place: int, now: datetime, loss: Loss) -> tuple[list[float], int]:
        return [min(one, loss.high) for look in self.looks[place:] for one in look], len(self.looks)


def test_what_its_rollout_showed_is_the_reference_and_less_than_enough_is_none(tmp_path: Path) -> None:
    loss, chance = Loss(low=0.0, high=4.0), seeded(1)
    values = [min(chance.expovariate(2.0), 4.0) for _ in range(ENOUGH)]
    found = reign(loss, values)
    assert found.reference["loss"]["values"] == ENOUGH
    assert 0.5 < found.reference["loss"]["bound"] < 0.9
    assert reign(loss, values[:-1]).reference == reign(None, values).reference == {}
    assert reign(loss, [3.9] * ENOUGH).reference == {}  # of no mean can be said that it is too high
    vigils, told = LossVigils(tmp_path), Told([])
    vigils.look(found, START, lambda: told)
    told.looks.append([2.0] * 200)
    said = vigils.look(found, START + timedelta(minutes=1), lambda: told)
    bound = found.reference["loss"]["bound"]
    since = "since 2026-01-01 00:01 UTC"
    assert said == f"Its loss has risen to 2, the mean of 200 outcomes {since}, and {bound:.3g} may be"


@dataclass(frozen=True)
class Rated(LossObservatory):
    """Has outcomes during the rollout already: 2,000 of each version a look."""

    def references(self, champion: Served, new: Served, spec: RolloutSpec) -> References:
        loss = {"kind": "mean", "low": 0.0, "high": 4.0, "margin": 0.5, "opens": False}
        return References(evidence={"plan": plan(loss=LOSS).model_dump(mode="json")}, metrics={"loss": loss})

    def evidence(self, rollout: Rollout) -> "Rated":  # type: ignore[override]
        return self

    def since(self, cursor: Mapping[str, Any]) -> tuple[dict[str, Any], Mapping[str, Any]]:
        values = [0.25, 0.75] * 1_000
        return {"loss": {"canary": values, "baseline": values}}, {}


def test_what_outcomes_said_in_the_rollout_goes_on_record_and_is_what_the_loss_may_be(tmp_path: Path) -> None:
    asked: dict[str, Any] = {**PLAIN, "guard": ("errors", "loss"), "heal": HEALS}
    world = live(World(spec=RolloutSpec(steps=(10, 50), **asked)), tmp_path)
    world.approve("2")
    made = RolloutLog(tmp_path / "log")
    vigils = Vigils(tmp_path / "vigils")
    one = replace(controller(world, tmp_path), observatory=Rated(made), vigils=vigils)
    for _ in range(60):
        world.now += timedelta(seconds=10)
        one.tick()
        world.traffic(20_000)
    found = histories(world.events)[FLIGHTS].reign
    assert found is not None
    assert found.new.version == "2"
    reference = found.reference["loss"]
    assert reference["values"] >= ENOUGH
    assert 0.5 < reference["bound"] < 0.8
    told = Told([])
    vigils.losses.look(found, world.now, lambda: told)
    for values in ([0.75, 0.25] * 100, [1.4] * 100):
        told.looks.append(values)
        said = vigils.losses.look(found, world.now, lambda: told)
    assert said is not None
    assert said.startswith("Its loss has risen to 1.4, the mean of 100 outcomes")
    assert said.endswith(f"and {reference['bound']:.3g} may be")


def test_a_log_that_was_begun_anew_is_read_from_where_it_ends(tmp_path: Path) -> None:
    vigils, found, told = LossVigils(tmp_path), reign(None), Told([[0.5]] * 9)
    vigils.look(found, START, lambda: told)
    told.looks = [[0.5]] * 2
    vigils.look(found, START, lambda: told)
    told.looks = [[0.5]] * 3
    vigils.look(found, START, lambda: told)
    assert '"seen": [0.5], ' in (tmp_path / f"{NAME}.loss.json").read_text()


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a simulation, no secret


def calibrated(chance: random.Random, count: int, times: float = 1.0) -> list[float]:
    """Return squared errors, (n,), of a model whose residuals are normal."""
    return [times * chance.gauss(0, 1) ** 2 for _ in range(count)]


def looks_until_alarm(seed: int, draw: Callable[[random.Random], list[float]], most: int) -> int:
    """Return the look at which a learned watch tells, or `most`."""
    chance = seeded(seed)
    state = State("shop-2", 0, uncut(plan()))
    state = state.after(calibrated(chance, ENOUGH), 1.25, START)
    assert state.watch is not None
    for look in range(1, most + 1):
        values = [min(one, state.loss.high) for one in draw(chance)]
        state = state.after(values, 1.25, START)
        if state.sentence is not None:
            return look
    return most


def test_what_is_learned_raises_no_alarm_while_nothing_changes_and_soon_when_the_loss_doubles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loss_watch, "ALARMS", OFTEN)
    waited = [looks_until_alarm(seed, lambda chance: calibrated(chance, 20), 150) for seed in range(12)]
    assert sum(waited) / len(waited) >= OFTEN.threshold
    found = [looks_until_alarm(seed, lambda chance: calibrated(chance, 20, 2.0), 150) for seed in range(12)]
    assert max(found) <= 40


def test_through_a_real_log_no_version_that_stays_as_it_is_is_told_of_and_one_that_turns_bad_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_watch, "ALARMS", OFTEN)
    for seed in range(2):
        made = Predictions(RolloutLog(tmp_path / str(seed)), seeded(seed))
        vigils, found, now = LossVigils(tmp_path / str(seed)), reign(None), START
        losses = LossObservatory(made.log).losses(found)
        said = list[str | None]()
        for look in range(36):
            now += timedelta(minutes=11)
            said.append(vigils.look(found, now, lambda: losses))  # noqa: B023 - asked for at once
            made.minute("2", now, 2_200 if look == 1 else 50, GOOD if look < 26 else BAD)
        assert said[:27] == [None] * 27
        assert said[-1] is not None


def test_a_rollouts_losses_are_learned_until_they_are_enough_and_damage_begins_anew(tmp_path: Path) -> None:
    vigils, found = LossVigils(tmp_path), reign(Loss(low=0.0, high=4.0))
    told = Told([])
    for look in range(4):
        vigils.look(found, START + timedelta(minutes=look), lambda: told)
        told.looks.append([0.5] * (ENOUGH // 4))
    path = tmp_path / f"{NAME}.loss.json"
    assert f'"seen": [{", ".join(["0.5"] * 4)}' in path.read_text()
    path.write_text('{"rollout": "shop-2", "place": 1')
    vigils.look(found, START + timedelta(minutes=9), lambda: told)
    assert '"place": 4' in path.read_text()
    assert ALARMS.threshold == 10 * 365 * 1440
    assert (START + timedelta(minutes=9)).tzinfo is UTC
