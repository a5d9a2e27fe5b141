from dataclasses import dataclass, replace
from itertools import pairwise

import pytest

from deploy.loop.progress import Progress, UnfinishedError
from deploy.loop.reconcile import HURRY_SECONDS, TICK_SECONDS, Pace, run_until_settled
from deploy.loop.rollout import Phase
from flywheel.errors import FlywheelError, IntegrityError, TransientError

LIVE = Progress("flights", "1", None, 100, Phase.DONE, "Live.", settled=True)
CANARY = Progress("flights", "1", "2", 10, Phase.CANARY, "More requests are needed.", settled=False)


@dataclass
class Script:
    """Stands for a controller whose ticks are known."""

    ticks: list[Progress | TransientError]
    now: float = 0.0

    def tick(self) -> list[Progress]:
        step = self.ticks.pop(0) if len(self.ticks) > 1 else self.ticks[0]
        if isinstance(step, TransientError):
            raise step
        return [step]

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @property
    def pace(self) -> Pace:
        return Pace(lambda: self.now, self.sleep)


def test_it_ticks_until_all_is_settled() -> None:
    script, shown = Script([CANARY, TransientError("Envoy is restarting."), LIVE]), list[list[Progress]]()
    result = run_until_settled(script, script.pace, 60, shown.append)
    assert (result.exit_code, shown) == (0, [[CANARY], [LIVE]])


def test_a_roll_back_on_the_way_is_exit_3_and_one_of_yesterday_is_not() -> None:
    back = replace(LIVE, phase=Phase.ROLLED_BACK)
    script = Script([CANARY, replace(CANARY, phase=Phase.ROLLING_BACK), back])
    assert run_until_settled(script, script.pace, 60, lambda _: None).exit_code == 3
    script = Script([back])
    assert run_until_settled(script, script.pace, 60, lambda _: None).exit_code == 0


def test_time_that_is_up_says_what_was_waited_for() -> None:
    script = Script([CANARY])
    with pytest.raises(FlywheelError, match=r"Not settled after 5 seconds \(flights: More requests are needed"):
        run_until_settled(script, script.pace, 5, lambda _: None)


@pytest.mark.parametrize(("phase", "how"), [(Phase.HELD, "held"), (Phase.CANARY, "paused"), (Phase.STARTING, "paused")])
def test_a_rollout_that_waits_for_people_is_not_live(phase: Phase, how: str) -> None:
    script = Script([replace(CANARY, phase=phase, settled=True)])
    with pytest.raises(FlywheelError, match=f"version 2 is {how}"):
        run_until_settled(script, script.pace, 5, lambda _: None)


def test_it_looks_again_at_once_after_a_tick_that_recorded_something() -> None:
    script, seen = Script([*[CANARY] * 45, replace(CANARY, acted=True), LIVE]), list[float]()
    run_until_settled(script, script.pace, 60, lambda _: seen.append(script.now))
    assert [round(later - earlier, 3) for earlier, later in pairwise(seen)][-2:] == [TICK_SECONDS, HURRY_SECONDS]


def test_it_looks_again_at_once_while_things_change_and_else_about_once_a_second() -> None:
    further = replace(CANARY, percent=50)
    script, seen = Script([*[CANARY] * 45, *[further] * 45, LIVE]), list[tuple[float, int]]()
    run_until_settled(script, script.pace, 60, lambda progress: seen.append((script.now, progress[0].percent)))
    gaps = [round(later - earlier, 3) for (earlier, _), (later, _) in pairwise(seen)]
    assert gaps[:40] == [HURRY_SECONDS] * 40
    assert gaps[40:45] == [TICK_SECONDS] * 5  # the change is seen by the tick after the last of these
    assert gaps[45:85] == [HURRY_SECONDS] * 40
    assert gaps[85:] == [TICK_SECONDS] * 5


def test_a_use_case_that_is_kept_apart_is_said_once_all_others_are_settled() -> None:
    apart = replace(LIVE, usecase="rain", reason="Event 7 cannot be read.", damaged=True)
    shown = list[list[Progress]]()

    class Both(Script):
        def tick(self) -> list[Progress]:
            return [*super().tick(), apart]

    script = Both([CANARY, CANARY, LIVE])
    with pytest.raises(IntegrityError, match="Event 7 cannot be read"):
        run_until_settled(script, script.pace, 60, shown.append)
    assert shown[-1] == [LIVE, apart]


def test_what_one_use_case_waits_for_hides_no_roll_back_of_another() -> None:
    rolling = UnfinishedError(TransientError("MLflow is restarting."), [replace(CANARY, phase=Phase.ROLLING_BACK)])
    back, shown = replace(LIVE, phase=Phase.ROLLED_BACK), list[list[Progress]]()
    script = Script([CANARY, rolling, back])
    assert run_until_settled(script, script.pace, 60, shown.append).exit_code == 3
    assert shown == [[CANARY], rolling.progress, [back]]


def test_a_tick_that_has_to_come_again_settles_nothing() -> None:
    script = Script([UnfinishedError(TransientError("MLflow is restarting."), [LIVE])])
    with pytest.raises(FlywheelError, match=r"Not settled after 5 seconds \(MLflow is restarting"):
        run_until_settled(script, script.pace, 5, lambda _: None)
