"""The schedule's program, as the supervisor runs it."""

import sys

from flywheel.settings import Settings
from flywheel.stack.supervisor import Program, program_states, start_program, write_program
from monitoring.schedule.plan import open_schedule

NAME = "schedule"
# A look that is under way may train: it is ended with the stack, and the next one begins anew.
PROGRAM = Program(NAME, [sys.executable, "-m", "monitoring.schedule.resident"])


def start_schedule(settings: Settings) -> None:
    """Have it run; nothing happens where it does."""
    if NAME not in program_states(settings):
        write_program(settings, PROGRAM)
        start_program(settings, NAME)


def after_up(settings: Settings, say: object) -> None:
    """Start it with the stack where something is planned: found as an entry point `flywheel.up`."""
    with open_schedule(settings) as schedule:
        planned = schedule.planned()
    if planned:
        start_schedule(settings)
        if callable(say):
            say(f"The schedule looks at {', '.join(one.name for one in planned)}")
