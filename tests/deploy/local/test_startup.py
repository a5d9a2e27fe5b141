"""How long a version may take to start, as one of several controllers counts it."""

from pathlib import Path

from deploy.desired import Served
from deploy.local.places import Place
from deploy.local.startup import START_SECONDS, UNWATCHED_SECONDS, Startup
from deploy.loop.interfaces import Readiness

SERVED = Served("flights-delay", "2", "sha256:" + "0" * 64)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def judged(startup: Startup) -> Readiness:
    startup.begin(SERVED)
    return startup.judge(Place(SERVED), {}).readiness


def test_a_version_that_does_not_answer_in_its_time_has_failed(tmp_path: Path) -> None:
    clock = Clock()
    startup = Startup(tmp_path, clock)
    while clock.now <= START_SECONDS:
        assert judged(startup) is Readiness.STARTING
        clock.now += UNWATCHED_SECONDS / 2
    assert judged(startup) is Readiness.FAILED


def test_a_start_that_another_controller_went_on_with_is_not_held_against_the_next_one(tmp_path: Path) -> None:
    clock = Clock()
    startup = Startup(tmp_path, clock)
    assert judged(startup) is Readiness.STARTING
    clock.now += 10 * START_SECONDS  # meanwhile somebody else started it, and stopped it again
    assert judged(startup) is Readiness.STARTING
    clock.now += UNWATCHED_SECONDS / 2
    assert judged(startup) is Readiness.STARTING
