"""`flywheel status`: every part and every other program, with a live check."""

from dataclasses import asdict, dataclass
from typing import Any

from flywheel.connections import endpoints, secrets
from flywheel.errors import StackError
from flywheel.settings import Settings
from flywheel.stack import postgres
from flywheel.stack.gateway_door import DOORMAN
from flywheel.stack.parts import Part, all_parts
from flywheel.stack.ports import remembered_ports
from flywheel.stack.processes import living
from flywheel.stack.supervisor import ProgramState, program_address, program_path, program_states


@dataclass(frozen=True)
class Row:
    """One line of the table; `reason` says why `healthy` is False."""

    part: str
    program: str
    state: str
    healthy: bool
    reason: str
    pid: int | None
    address: str
    log: str

    def document(self) -> dict[str, Any]:
        """Return the row for `--json`."""
        return asdict(self)


def stack_rows(settings: Settings) -> list[Row]:
    """Check every part now; the agents and whatever else the supervisor runs follow.

    Raises:
        StackError: No stack has been started here.
    """
    endpoints(settings)
    database = secrets(settings).databases["reader"]
    ports = remembered_ports(settings)
    if ports is None:
        raise StackError(f"The ports of {settings.root} are not known any more. Run `flywheel up`.")
    try:
        answers, states = True, program_states(settings)
    except StackError:
        answers, states = False, {}
    runs = {name: program_path(settings, name).exists() for name in (postgres.NAME, DOORMAN)}
    parts = all_parts(settings, ports, database, embedded=runs[postgres.NAME], guarded=runs[DOORMAN])
    rows = [_part_row(settings, part, states) for part in parts.values()]
    known = {part.program for part in parts.values()}
    rows += [_program_row(settings, state) for name, state in sorted(states.items()) if name not in known]
    return [_supervisor_row(settings, answers=answers), *rows]


def _supervisor_row(settings: Settings, *, answers: bool) -> Row:
    reason = "" if answers else "it does not answer: `flywheel up` starts over"
    pid = next((entry.pid for entry in living(settings.root) if entry.name == "supervisord"), None)
    address = str(endpoints(settings).supervisor_socket)
    state = "RUNNING" if answers else "GONE"
    return Row("Supervisor", "supervisord", state, answers, reason, pid, address, _log(settings, "supervisord"))


def _part_row(settings: Settings, part: Part, states: dict[str, ProgramState]) -> Row:
    reason, log = part.probe(), _log(settings, part.program)
    state = states.get(part.program or "")
    shown = state.state if state else ("GONE" if part.program else "EXTERNAL")
    pid = state.pid if state else None
    return Row(part.label, part.program or "", shown, reason is None, reason or "", pid, part.address, log)


def _program_row(settings: Settings, state: ProgramState) -> Row:
    healthy = state.state == "RUNNING"
    reason = "" if healthy else state.message
    address = program_address(settings, state.name)
    return Row("", state.name, state.state, healthy, reason, state.pid, address, _log(settings, state.name))


def _log(settings: Settings, program: str | None) -> str:
    return str(settings.root / "logs" / f"{program}.log") if program else ""
