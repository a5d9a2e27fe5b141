"""How far a version is, and why one does not start: from its programs' states, and what its agents say at `/ping`."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.desired import Served
from deploy.local.log_tail import log_tail
from deploy.local.places import Agent, Place, Role, program_name
from deploy.loop.interfaces import Condition, Readiness
from flywheel.rollbacks import Cause
from flywheel.stack.probes import request
from flywheel.stack.supervisor import ProgramState

START_SECONDS = 180.0
# A scorer that has just started may refuse its first rows; one whose model fails on the example goes on failing.
REFUSED_SECONDS = 10.0
STARTS = 3  # of a program, that ended by itself each time, before any agent has served
UNWATCHED_SECONDS = START_SECONDS  # then another controller has gone on, and what was counted is of another start
ENDED = {"FATAL", "EXITED", "STOPPED"}


@dataclass
class Attempt:
    """A version on its way: since when it starts and since when its example is refused (seconds), and who has run.

    `watched` is when it was looked at last.
    """

    since: float
    watched: float
    refused: float | None = None
    runs: dict[str, set[int]] = field(default_factory=dict)


class Startup:
    """The versions of one home that are on their way. Not for several threads."""

    def __init__(self, logs: Path, clock: Callable[[], float]) -> None:
        self._logs = logs
        self._clock = clock
        self._attempts: dict[Served, Attempt] = {}

    def begin(self, served: Served) -> None:
        """Count a version's time from now, unless it is counted already, and has been until now."""
        now, attempt = self._clock(), self._attempts.get(served)
        if attempt is None or now - attempt.watched > UNWATCHED_SECONDS:
            self._attempts[served] = Attempt(now, now)

    def forget(self, served: Served) -> None:
        """Count no more."""
        self._attempts.pop(served, None)

    def judge(self, place: Place, states: Mapping[str, ProgramState]) -> Condition:
        """Judge a place that has been begun.

        A program that ends while an agent answers has crashed, which supervisor and gateway mend. Where no agent has
        served yet it is a version that cannot start.
        """
        self._attempts[place.served].watched = self._clock()
        if place.choice is not None and place.choice.backend is None:
            cause = Cause.ENVIRONMENT if place.waits else Cause.START  # of all that it waits for, that alone can fail
            return Condition(Readiness.FAILED, place.choice.reason, cause=cause)
        serving = [one for one in place.agents if one.role is Role.SERVING]
        if any(ping(one) is None for one in serving):
            self.forget(place.served)
            return Condition(Readiness.READY)
        if place.waits and not place.agents:
            self.forget(place.served)
            self.begin(place.served)  # its environment has its own time
            return Condition(Readiness.STARTING)
        reason = self._given_up(place, states, started=bool(serving)) or self._refused(place) or self._late(place)
        return Condition(Readiness.FAILED, reason) if reason else Condition(Readiness.STARTING)

    def _given_up(self, place: Place, states: Mapping[str, ProgramState], *, started: bool) -> str:
        runs = self._attempts[place.served].runs
        for name in place.programs:
            state = states.get(name)
            if state is None:
                continue
            if state.pid is not None:
                runs.setdefault(name, set()).add(state.pid)
            if state.state == "FATAL" or (not started and state.state in ENDED):
                return f"{name} ended by itself. {self._told(name)}"
            if not started and len(runs.get(name, ())) >= STARTS:
                return f"{name} ended by itself, again and again. {self._told(name)}"
        return ""

    def _refused(self, place: Place) -> str:
        """Return the reason where the model fails on its own input example, and goes on failing."""
        attempt = self._attempts[place.served]
        coming = [one for one in place.agents if one.role is Role.COMING]
        refusing, reason = next(((one, said) for one in coming if (said := ping(one))), (None, ""))
        if refusing is None:
            attempt.refused = None
            return ""
        if attempt.refused is None:
            attempt.refused = self._clock()
        if self._clock() - attempt.refused < REFUSED_SECONDS:
            return ""
        return f"{reason} {self._told(program_name('agent', place.served, refusing.number))}"

    def _late(self, place: Place) -> str:
        if self._clock() - self._attempts[place.served].since <= START_SECONDS:
            return ""
        name = (place.programs or ["no program"])[-1]
        return f"{name} did not answer within {START_SECONDS:.0f} seconds. {self._told(name)}"

    def _told(self, program: str) -> str:
        return log_tail(self._logs / f"{program}.log")


def ping(agent: Agent) -> str | None:
    """Return None when an agent welcomes requests; else why it does not, '' where it does not say."""
    try:
        status, body = request("GET", f"http://127.0.0.1:{agent.http}/ping")
        return None if status == 200 else str(json.loads(body).get("reason") or "")
    except (OSError, ValueError, AttributeError):
        return ""
