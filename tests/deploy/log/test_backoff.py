"""Asking a store that is away: more and more seldom, and told once."""

import random
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from deploy.agent.limits import Limits
from deploy.agent.spool import Spool
from deploy.log.backoff import Backoff
from deploy.log.shipper import Shipper
from flywheel.errors import StackError
from flywheel.storage import PredictionLog
from tests.deploy.test_shipper import CONTRACT_JSON, record, shipped


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> bool:
        self.time += seconds
        return False


def test_waits_double_up_to_a_minute_each_shortened_by_chance_and_start_anew_after_success() -> None:
    watch = Watch()
    backoff = Backoff("x", watch, random.Random(1))  # noqa: S311  # a test's dice
    for life in range(2):
        waits = []
        for _ in range(12):
            assert backoff.is_due()
            backoff.failed(StackError("away"))
            began = watch.time
            while not backoff.is_due():
                watch.time += 0.01
            waits.append(watch.time - began)
        longest = [min(60.0, 2.0**n) for n in range(12)]
        assert all(most / 2 <= wait <= most + 0.02 for wait, most in zip(waits, longest, strict=True)), life
        assert len({round(wait, 1) for wait in waits[6:]}) > 3
        backoff.succeeded()


def test_a_store_that_is_away_is_logged_once_at_each_end_and_everything_arrives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    def away(*_: Any) -> None:
        nonlocal tries
        tries += 1
        raise StackError("the store is away")

    watch = Watch()
    shipper = Shipper(tmp_path, clock=watch)
    with Spool(tmp_path / "spool" / "tiny-v1", CONTRACT_JSON, Limits()) as agent, capture_logs() as logs:
        monkeypatch.setattr(PredictionLog, "commit", away)
        for number in range(360):
            if number < 3:
                agent.append(record(number))
            watch.time += 10.0
            shipper.tick()
        assert 60 <= tries <= 130
        monkeypatch.undo()
        watch.time += 60.0
        shipper.tick()
    assert shipped(tmp_path) == ["p-0", "p-1", "p-2"]
    assert [(line["log_level"], line["event"]) for line in logs] == [
        ("error", "not shipped, and tried again until it is"),
        ("warning", "shipped again"),
    ]
    assert logs[1]["faults"] == tries
