"""What survives every process of the simulation: time, the chain, the registry's tables, and what goes wrong next.

Nothing here is random: `history.py` draws, and tells the world what to do. All clocks are virtual.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from deploy.desired import Served
from deploy.loop.fold import histories
from deploy.loop.rollout import History
from flywheel.errors import TransientError
from flywheel.events import GENESIS, Event, EventKind, Head, chained
from flywheel.policy import GatePolicy, Person, Policy, Production, Role
from flywheel.rollout_spec import Rollout as RolloutSpec

START = datetime(2026, 1, 1, tzinfo=UTC)
PEOPLE = {
    "ada": Person(role=Role.DATA_SCIENTIST),
    "grace": Person(role=Role.REVIEWER),
    "alan": Person(role=Role.REVIEWER),
    "olga": Person(role=Role.OPERATOR),
    "vic": Person(role=Role.VIEWER),
    "root": Person(role=Role.ADMINISTRATOR),
}


class Crash(BaseException):
    """Ends a controller at once, as kill -9 does: no handler of ours may catch it."""


@dataclass(frozen=True)
class Nature:
    """How a version's bytes behave in truth.

    Args:
        errors: Share of its requests that fail, 0 to 1.
        slow: Share of its requests over a quarter of a second, 0 to 1; a fifth of them takes over a second.
        start_ticks: That it takes to answer.
        crashes: Whether it ends as soon as it is started.
    """

    errors: float = 0.002
    slow: float = 0.05
    start_ticks: int = 2
    crashes: bool = False


@dataclass
class Faults:
    """What goes wrong at the next effects and calls.

    Args:
        down: Parts that do not answer: postgres, registry, gateway, disk.
        lost_answer: A part whose next effect happens though the call fails.
        refused: A part whose next effect does not happen.
        die_after: Effects until the controller dies: half of them before an effect, half after it.
        overtaken_after: Effects until the leader's session is lost and another controller ticks.
        people_after: Effects until people go back in the middle of a tick.
    """

    down: set[str] = field(default_factory=set)
    lost_answer: str | None = None
    refused: str | None = None
    die_after: int | None = None
    overtaken_after: int | None = None
    people_after: int | None = None

    def clear(self) -> None:
        """Let everything answer again."""
        self.down.clear()
        self.lost_answer = self.refused = self.die_after = self.overtaken_after = self.people_after = None


@dataclass
class World:
    """The chain, stages, aliases and bytes of the registry, the policy, and the time."""

    now: datetime = START
    events: list[Event] = field(default_factory=list)
    stages: dict[tuple[str, str], str] = field(default_factory=dict)
    aliases: dict[tuple[str, str], str] = field(default_factory=dict)
    digests: dict[tuple[str, str], str] = field(default_factory=dict)
    authors: dict[tuple[str, str], str] = field(default_factory=dict)
    natures: dict[str, Nature] = field(default_factory=dict)
    specs: dict[str, RolloutSpec] = field(default_factory=dict)
    policy: Policy = field(default_factory=lambda: Policy(people=PEOPLE, gates=GatePolicy(required=())))
    faults: Faults = field(default_factory=Faults)
    leader: object = None
    overtake: Callable[[], None] = lambda: None
    go_back: Callable[[], None] = lambda: None
    said: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    lost_journals: set[str] = field(default_factory=set)
    _folds: dict[int, dict[str, History]] = field(default_factory=dict)

    def say(self, line: str) -> None:
        """Write one line of the history's log."""
        self.said.append(f"{(self.now - START).total_seconds():9.0f} s  {line}")

    def count(self, what: str) -> None:
        """Note that something was reached."""
        self.seen[what] += 1

    def append(self, kind: EventKind, subject: str, actor: str, body: Mapping[str, Any]) -> None:
        """Add an event to the chain."""
        head = Head(self.events[-1].seq, self.events[-1].hash) if self.events else GENESIS
        self.events.append(chained(head, kind, subject, actor, body, self.now))
        shown = {
            key: body[key] for key in ("to", "state", "step", "cause", "halted", "alias", "version") if key in body
        }
        self.say(f"{actor}: {kind} {subject} {shown} {str(body.get('reason', ''))[:110]}")
        self.count(f"event {kind}")

    def histories(self, events: int | None = None) -> dict[str, History]:
        """Return the fold of the first so many events, of all by default; each is folded once."""
        count = len(self.events) if events is None else events
        if count not in self._folds:
            self._folds[count] = histories(self.events[:count])
        return self._folds[count]

    def history(self, usecase: str) -> History:
        """Return the rollouts of a use case."""
        return self.histories().get(usecase, History(usecase))

    def nature(self, served: Served) -> Nature:
        """Return how a version behaves."""
        return self.natures[served.digest]

    def reach(self, part: str) -> None:
        """Ask a part that may not answer.

        Raises:
            TransientError: It does not.
        """
        if part in self.faults.down:
            self.count(f"{part} did not answer")
            raise TransientError(f"{part} does not answer.")

    def effect(self, part: str, name: str, do: Callable[[], None]) -> None:
        """Change the world, unless the controller dies before, the part refuses, or another leader comes first.

        Raises:
            Crash: The controller died, before or after the effect.
            TransientError: The part did not answer; whether the effect happened is open.
        """
        self._may_die(f"before {name}")
        self._may_be_overtaken(name)
        self._people_may_go_back()
        self.reach(part)
        if self.faults.refused == part:
            self.faults.refused = None
            self.count(f"{part} refused")
            raise TransientError(f"{part} refused.")
        do()
        self.count(f"effect {name}")
        if self.faults.lost_answer == part:
            self.faults.lost_answer = None
            self.say(f"{part} did {name}, and its answer was lost")
            self.count(f"{part}'s answer was lost")
            raise TransientError(f"{part} does not answer.")
        self._may_die(f"after {name}")

    def _may_die(self, when: str) -> None:
        if self.faults.die_after is None:
            return
        if self.faults.die_after == 0:
            self.faults.die_after = None
            self.say(f"kill -9 {when}")
            self.count("kill -9")
            self.count(f"killed {when}")
            raise Crash
        self.faults.die_after -= 1

    def _may_be_overtaken(self, name: str) -> None:
        if self.faults.overtaken_after is None:
            return
        if self.faults.overtaken_after == 0:
            self.faults.overtaken_after = None
            self.say(f"the leader loses its session before {name}, and does not know it")
            self.count("leader overtaken")
            self.overtake()
            return
        self.faults.overtaken_after -= 1

    def _people_may_go_back(self) -> None:
        if self.faults.people_after == 0:
            self.go_back()
        if self.faults.people_after is not None:
            self.faults.people_after = self.faults.people_after - 1 if self.faults.people_after else None


def policy_with(approvals: int) -> Policy:
    """Return a policy under which a version needs so many approvals."""
    return Policy(people=PEOPLE, gates=GatePolicy(required=()), production=Production(approvals=approvals))
