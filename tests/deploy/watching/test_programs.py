"""Restarts are seen by the process, and a supervisor that is down is told as such."""

from prometheus_client import CollectorRegistry

from deploy.watching.programs import Programs
from flywheel.errors import StackError
from flywheel.stack.supervisor import ProgramState


def state(name: str, pid: int | None, said: str = "RUNNING") -> ProgramState:
    return ProgramState(name, said, pid, "")


class Supervisor:
    """What a supervisor says next."""

    def __init__(self) -> None:
        self.states: dict[str, ProgramState] | None = {}

    def __call__(self) -> dict[str, ProgramState]:
        if self.states is None:
            raise StackError("No supervisor answers.")
        return self.states

    def says(self, *states: ProgramState) -> None:
        self.states = {one.name: one for one in states}


def looked(supervisor: Supervisor, programs: Programs, *states: ProgramState) -> None:
    supervisor.says(*states)
    programs.look()


def test_a_program_with_another_process_was_restarted_also_after_a_pause_and_a_new_one_was_not() -> None:
    registry, supervisor = CollectorRegistry(), Supervisor()
    programs = Programs(supervisor, registry)

    def told(name: str) -> tuple[float | None, float | None]:
        labels = {"program": name}
        restarts = registry.get_sample_value("flywheel_program_restarts_total", labels)
        return restarts, registry.get_sample_value("flywheel_program_running", labels)

    looked(supervisor, programs, state("scorer", 7), state("agent", 8))
    looked(supervisor, programs, state("scorer", 7), state("agent", 9))
    assert (told("scorer"), told("agent")) == ((0, 1), (1, 1))
    looked(supervisor, programs, state("scorer", None, "BACKOFF"), state("agent", 9))
    assert told("scorer") == (0, 0)
    looked(supervisor, programs, state("scorer", 12), state("agent", 9), state("late", 13))
    assert (told("scorer"), told("agent"), told("late")) == ((1, 1), (1, 1), (0, 1))
    looked(supervisor, programs, state("agent", 9))
    assert told("scorer") == (None, None)


def test_while_the_supervisor_is_down_that_is_told_and_nothing_is_forgotten() -> None:
    registry, supervisor = CollectorRegistry(), Supervisor()
    programs = Programs(supervisor, registry)
    looked(supervisor, programs, state("agent", 9))
    assert registry.get_sample_value("flywheel_supervisor_up") == 1
    supervisor.states = None
    programs.look()
    assert registry.get_sample_value("flywheel_supervisor_up") == 0
    looked(supervisor, programs, state("agent", 10))
    assert registry.get_sample_value("flywheel_supervisor_up") == 1
    assert registry.get_sample_value("flywheel_program_restarts_total", {"program": "agent"}) == 1
