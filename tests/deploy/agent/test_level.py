"""By how much an agent moves its answers: what its package allows, for as long as monitoring renews it."""

import asyncio
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.agent.batching import Failure, Job, Outcome
from deploy.agent.dataplane import DataPlane
from deploy.agent.level import Level, level_of
from deploy.agent.outputs import Outputs
from deploy.agent.recording import Asked, Caller, Identity
from deploy.agent.telemetry.metrics import Metrics
from flywheel.contract import Output, ValidRow
from flywheel.monitor_spec import Recalibrate
from flywheel.package import INSIDE
from flywheel.recalibration import KEY_BYTES, Recalibrated, moved
from tests.deploy.agent.rest.serving import LIMITS
from tests.deploy.conftest import row
from tests.deploy.spool_lines import records_in
from tests.deploy.tiny_contract import CONTRACT

NOW, DAY = datetime(2026, 3, 1, 12, tzinfo=UTC), timedelta(days=1)
OWN, ALLOWED = Identity("tiny", "1", "sha256:0"), Recalibrate(most=0.5, lasts=3 * DAY)
KEY = b"k" * KEY_BYTES
TOLD = Recalibrated(use_case="tiny", version="1", digest="sha256:0", shift=0.4, as_of=datetime(2026, 3, 1), made=NOW)


class Place:
    """A folder with a key, where monitoring writes and a level reads."""

    def __init__(self, folder: Path, threshold: float | None = None) -> None:
        self.file, self.key = folder / "1.json", folder / "key"
        self.key.write_text(KEY.hex())
        self.metrics = Metrics("tiny", "1")
        self.level = Level(OWN, ALLOWED, threshold, file=self.file, key=self.key, metrics=self.metrics)

    def write(self, content: bytes) -> None:
        new = self.file.with_suffix(".new")
        new.write_bytes(content)
        new.replace(self.file)

    def tell(self, key: bytes = KEY, **changes: Any) -> None:
        self.write(TOLD.model_copy(update=changes).signed(key))

    def figure(self, name: str) -> float:
        families = text_string_to_metric_families(self.metrics.page().decode())
        (found,) = [one.value for family in families for one in family.samples if one.name == name]
        return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def outcome_of(level: Level, outcome: Outcome) -> tuple[Outcome, float]:
    async def moved_now() -> tuple[Outcome, float]:
        job = Job([], Asked(Caller("r"), []), 0.0, 1.0)
        ((_, found),), shift = level.moved([(job, outcome)])
        return found, shift

    return asyncio.run(moved_now())


def test_nothing_is_moved_before_there_is_a_file(place: Place) -> None:
    place.level.look(NOW)
    answers: list[Outputs] = [{"probability": 0.2}]
    assert outcome_of(place.level, answers) == (answers, 0.0)
    assert place.figure("flywheel_recalibrations_refused_total") == 0


def test_answers_are_moved_and_failures_are_not(place: Place) -> None:
    place.tell()
    place.level.look(NOW)
    found, shift = outcome_of(place.level, [{"probability": 0.2}, {"probability": 0.0}])
    assert shift == 0.4
    assert isinstance(found, list)
    assert found[0] == {"probability": moved(0.2, math.exp(-0.4))}
    assert found[0]["probability"] == pytest.approx(1 / (1 + math.exp(-(math.log(0.25) + 0.4))))
    assert 0 < float(found[1]["probability"]) < 1e-14
    failure = Failure("scorer", "No.")
    assert outcome_of(place.level, failure) == (failure, 0.4)


@pytest.mark.parametrize(("probability", "before", "after"), [(0.45, False, True), (0.2, False, False)])
def test_the_decision_follows_the_moved_probability(
    tmp_path: Path, probability: float, before: bool, after: bool
) -> None:
    place = Place(tmp_path, threshold=0.5)
    place.tell()
    place.level.look(NOW)
    found, _ = outcome_of(place.level, [{"probability": probability, "decision": before}])
    assert isinstance(found, list)
    assert found[0]["decision"] is after


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": b"o" * KEY_BYTES},
        {"shift": 0.51},
        {"shift": -0.51},
        {"version": "2"},
        {"use_case": "other"},
        {"digest": "sha256:1"},
        {"made": NOW + timedelta(hours=1)},
        {"made": NOW - 6 * DAY},
    ],
)
def test_what_is_not_believed_is_counted_and_the_last_good_shift_stays(place: Place, wrong: dict[str, Any]) -> None:
    place.tell(shift=0.3)
    place.level.look(NOW)
    place.tell(**wrong)
    for _ in range(3):  # told once, not at each look
        place.level.look(NOW)
    assert place.level.shift == 0.3
    assert place.figure("flywheel_recalibrations_refused_total") == 1
    place.tell(shift=-0.2)
    place.level.look(NOW)
    assert place.level.shift == -0.2
    assert place.figure("flywheel_recalibration_shift") == -0.2


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe\n\n", TOLD.signed(KEY)[:-2], TOLD.signed(KEY)[2:]])
def test_at_start_a_damaged_file_is_no_shift(place: Place, content: bytes) -> None:
    place.write(content)
    place.level.look(NOW)
    assert place.level.shift == 0
    assert place.figure("flywheel_recalibrations_refused_total") == 1


def test_without_a_key_nothing_is_believed(place: Place) -> None:
    place.key.unlink()
    place.tell()
    place.level.look(NOW)
    assert place.level.shift == 0
    assert place.figure("flywheel_recalibrations_refused_total") == 1


def test_a_shift_that_nobody_renews_fades_though_its_file_stays_or_goes(place: Place) -> None:
    place.tell()
    shifts = []
    for days in (0, 3, 4.5, 6, 400):
        place.level.look(NOW + days * DAY)
        shifts.append(place.level.shift)
    assert shifts == [0.4, 0.4, 0.2, 0, 0]
    assert place.figure("flywheel_recalibration_weight") == 0
    place.tell(made=NOW + 400 * DAY)
    place.level.look(NOW + 400 * DAY)
    assert place.level.shift == 0.4
    place.file.unlink()
    place.level.look(NOW + 404.5 * DAY)
    assert place.level.shift == 0.2


def package(folder: Path, case: str | None, threshold: str | None = None) -> Path:
    inside = folder / INSIDE
    inside.mkdir(parents=True)
    if case is not None:
        (inside / "usecase.yaml").write_text(CASE + case)
    if threshold is not None:
        (inside / "decision.json").write_text(threshold)
    return folder


CASE = "name: tiny\ndata: {source: {kind: csv, path: x}, event_time: at, label: {column: y}}\n"
YES = "monitor: {recalibrate: {most: 0.5}}\n"


@pytest.mark.parametrize(
    ("case", "threshold", "outputs", "is_moved"),
    [
        (YES, None, ["probability"], True),
        (YES, '{"threshold": 0.3}', ["probability", "decision"], True),
        (YES, '{"threshold": null}', ["probability", "decision"], False),
        (YES, None, ["prediction", "probability_calm"], False),
        ("", None, ["probability"], False),
        (None, None, ["probability"], False),
        ("monitor: {of_another_release: 1}\n", None, ["probability"], False),
    ],
)
def test_only_a_version_whose_package_allows_it_is_moved(
    tmp_path: Path, case: str | None, threshold: str | None, outputs: Sequence[str], is_moved: bool
) -> None:
    files = tmp_path / "1.json", tmp_path / "key"
    folder = package(tmp_path / "package", case, threshold)
    assert (level_of(folder, OWN, list(outputs), files, Metrics("tiny", "1")) is not None) is is_moved
    assert level_of(folder, OWN, list(outputs), (None, None), Metrics("tiny", "1")) is None


async def test_a_record_says_what_was_served_and_by_how_much_it_was_moved(place: Place) -> None:
    contract = CONTRACT.model_copy(update={"outputs": (Output(name="probability", type="double"),)})
    written: list[bytes] = []

    async def score(rows: list[ValidRow], timeout: float, traceparent: str | None = None) -> list[Outputs | None]:
        return [{"probability": row.inputs["chance"]} for row in rows]

    plane = DataPlane(OWN, contract, score=score, append=written.append, limits=LIMITS, level=place.level)
    task = asyncio.create_task(plane.batcher.run())
    try:
        before = await plane.predict([row(chance=0.25)], Caller("a"))
        place.tell()
        place.level.look(NOW)
        after = await plane.predict([row(chance=0.25), row(chance=0.75)], Caller("b"))
    finally:
        task.cancel()
    records = records_in(b"".join(written))
    assert [record["outputs"] for record in records] == [*before.predictions, *after.predictions]
    assert [record.get("shift") for record in records] == [None, 0.4, 0.4]
    assert [moved(record["outputs"]["probability"], math.exp(record.get("shift", 0))) for record in records] == (
        pytest.approx([0.25, 0.25, 0.75], abs=1e-15)
    )
