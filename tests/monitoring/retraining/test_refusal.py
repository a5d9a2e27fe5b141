"""A training that refuses, as `mlflow run` on a running stack ends it: told on the record, backed off from, alerted."""

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from flywheel.connections import secrets
from flywheel.errors import NotApprovedError
from flywheel.events import EventKind, read
from flywheel.refusal import VARIABLE
from flywheel.settings import Settings
from flywheel.usecase import UseCase, parse_usecase
from monitoring.retraining.evidence import Evidence
from monitoring.retraining.retrain import Retraining, claim, retrain

DAY = timedelta(days=1)
NOW = datetime(2013, 5, 2)
WHY = "here: commit 0123456789ab instead of ba9876543210. Let a person train it."
# An entry point that refuses, if it is asked to train like the champion, and else would train.
PROJECT = f"""
name: refuses
entry_points:
  main:
    parameters:
      usecase: string
      as_of: string
      like: string
    command: "test {{like}} = champion && printf %s '{WHY}' > ${VARIABLE} && exit 4"
"""


@pytest.fixture
def engine(stack: Settings) -> Iterator[sa.Engine]:
    made = sa.create_engine(secrets(stack).databases["monitoring"])
    yield made
    made.dispose()


@pytest.fixture
def use_case() -> UseCase:
    source = {"source": {"kind": "csv", "path": "rows.csv"}, "event_time": "at", "label": {"column": "y"}}
    monitor = {"retrain": {"max_age": "30d", "cooldown": "1d"}}
    return parse_usecase({"name": f"refused-{uuid.uuid4().hex[:8]}", "data": source, "monitor": monitor}, "test")


def test_a_refusal_is_an_event_with_its_reason_waits_twice_the_cooldown_and_asks_for_a_person(
    stack: Settings, engine: sa.Engine, use_case: UseCase, tmp_path: Path
) -> None:
    (tmp_path / "MLproject").write_text(PROJECT)
    evidence = Evidence(NOW, trained_at=NOW - 40 * DAY)
    assert claim(engine, use_case, evidence).start
    retraining = Retraining(tmp_path / "usecase.yaml", use_case, NOW)
    with pytest.raises(NotApprovedError, match=f"as of 2013-05-02 was refused: {WHY}"):
        retrain(stack, engine, retraining, lambda: None)
    with engine.connect() as connection:
        (finished,) = read(connection, EventKind.RETRAIN_FINISHED, use_case.name)
    assert (finished.body["outcome"], finished.body["reason"], finished.body["version"]) == ("refused", WHY, None)
    later = claim(engine, use_case, Evidence(NOW + 1.5 * DAY, trained_at=NOW - 40 * DAY))
    assert not later.start
    assert later.alert is not None
    assert f"as of 2013-05-02 was refused: {WHY}" in later.alert
    assert later.next_at == NOW + 2 * DAY
    assert list((stack.root / "logs").glob(f"retrain-{use_case.name}-*.refused")) == []


def test_a_training_that_fails_otherwise_is_no_refusal(
    stack: Settings, engine: sa.Engine, use_case: UseCase, tmp_path: Path
) -> None:
    (tmp_path / "MLproject").write_text(PROJECT.replace(f"printf %s '{WHY}' > ${VARIABLE} && ", ""))
    with pytest.raises(Exception, match="failed with code 1") as told:
        retrain(stack, engine, Retraining(tmp_path / "usecase.yaml", use_case, NOW), lambda: None)
    assert not isinstance(told.value, NotApprovedError)
    with engine.connect() as connection:
        (finished,) = read(connection, EventKind.RETRAIN_FINISHED, use_case.name)
    assert (finished.body["outcome"], finished.body["reason"]) == ("failed", "")
