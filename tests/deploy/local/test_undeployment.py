"""Only people take a use case out of service, and not while a version of it is approved."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from deploy.desired import Served
from deploy.loop.fold import histories
from deploy.loop.rollout import intended
from deploy.undeployment import record_undeployment
from flywheel.errors import UsageError
from flywheel.events import Event, EventKind

DIGEST = "sha256:one"


class Trail:
    """A ledger in memory: one version went live at once."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.record(
            EventKind.TRANSITION,
            "flights/1",
            {"model": "flights", "version": "1", "to": "Production", "digest": DIGEST},
        )
        self.start("first")

    def start(self, name: str) -> None:
        body = {"rollout": name, "version": "1", "digest": DIGEST, "champion": None, "steps": [10], "margin": 0.02}
        self.record(EventKind.ROLLOUT_STARTED, "flights/1", {**body, "alpha": 0.05, "max_minutes": 5})
        self.record(EventKind.ROLLOUT_PROMOTED, "flights/1", {"rollout": name, "state": "done"})

    def read(self) -> list[Event]:
        return self.events

    def record(self, kind: EventKind, subject: str, body: Mapping[str, Any]) -> None:
        seq = len(self.events) + 1
        self.events.append(Event(seq, kind, subject, "controller", datetime.now(UTC), dict(body), "", str(seq)))


class Stages:
    """A registry of which only stages are asked."""

    def __init__(self, stage: str) -> None:
        self._stage = stage

    def stages(self, usecase: str, versions: Iterable[str]) -> dict[str, str]:
        assert usecase == "flights"
        return dict.fromkeys(versions, self._stage)

    def set_alias(self, usecase: str, alias: str, version: str | None) -> None:
        raise AssertionError(f"{usecase} {alias} {version}")

    def archive(self, served: Served, reason: str) -> None:
        raise AssertionError(f"{served} {reason}")


class Gone(Stages):
    """A registry that knows no version."""

    def __init__(self) -> None:
        super().__init__("None")

    def stages(self, usecase: str, versions: Iterable[str]) -> dict[str, str]:
        assert (usecase, list(versions)) == ("boats", [])
        return {}


def test_a_version_in_production_is_archived_first() -> None:
    with pytest.raises(UsageError, match="is in Production"):
        record_undeployment(Trail(), Stages("Production"), "flights", "a test")


def test_a_record_that_cannot_be_read_ends_with_it() -> None:
    trail = Trail()
    trail.record(EventKind.ROLLOUT_STEP, "boats/2", {"rollout": "never-started"})
    assert record_undeployment(trail, Gone(), "boats", "begin anew") == "unknown"
    assert histories(trail.read())["boats"].damage is None
    trail.record(EventKind.ROLLOUT_STEP, "flights/1", {})
    assert record_undeployment(trail, Stages("Archived"), "flights", "begin anew") == "1"
    assert histories(trail.read())["flights"].is_gone


def test_what_is_not_live_cannot_go() -> None:
    with pytest.raises(UsageError, match="Nothing of 'boats' is live"):
        record_undeployment(Trail(), Stages("Archived"), "boats", "a test")


def test_afterwards_nothing_is_live_and_the_next_rollout_starts_afresh() -> None:
    trail = Trail()
    assert record_undeployment(trail, Stages("Archived"), "flights", "a test") == "1"
    history = histories(trail.read())["flights"]
    assert (history.champion, history.current, intended(history), history.is_gone) == (None, None, None, True)
    trail.start("second")
    history = histories(trail.read())["flights"]
    assert history.champion == Served("flights", "1", DIGEST)
    assert not history.is_gone
