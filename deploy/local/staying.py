"""The controller that stays, as the supervisor runs it; what it does is in `deploy.loop.resident`."""

import sys

from flywheel.settings import Settings
from flywheel.stack.supervisor import Program, program_states, start_program, write_program

NAME = "controller"
# Its home is in the environment of every program.
PROGRAM = Program(NAME, [sys.executable, "-m", "deploy.loop.resident"])


def start_controller(settings: Settings) -> None:
    """Have it run; nothing happens where it does."""
    if NAME not in program_states(settings):
        write_program(settings, PROGRAM)
        start_program(settings, NAME)
