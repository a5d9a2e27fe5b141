"""Hooks of a rollout: functions of others, found as entry points `flywheel.rollout`, asked before each step.

    def before_step(step: deploy.hooks.Step) -> str | None: ...

None lets it go on; a sentence makes it wait, and it is asked again at the next tick. A hook that raises, or takes
longer than it may, objects as well: whoever put it there wanted to be heard. A way back is never asked about. What
follows a step is told by webhooks and outbox consumers, which get every `rollout.*` event in order.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points

from deploy.desired import Served

GROUP = "flywheel.rollout"
SECONDS = 10.0


@dataclass(frozen=True)
class Step:
    """The step that a rollout is about to take.

    Args:
        rollout: Its name.
        new: The version that comes.
        old: The champion; None for the first version.
        percent: Of the requests that the new version answers now.
        to_percent: That it would answer next.
        reason: Why it may.
    """

    rollout: str
    new: Served
    old: Served | None
    percent: int
    to_percent: int
    reason: str


Hook = Callable[[Step], str | None]


@dataclass(frozen=True)
class Hooks:
    """Hooks by name, and how long (seconds) each may take."""

    hooks: Mapping[str, Hook] = field(default_factory=dict)
    seconds: float = SECONDS
    _late: dict[str, threading.Thread] = field(default_factory=dict, repr=False, compare=False)

    def objection(self, step: Step) -> str | None:
        """Return the first objection to a step as a sentence; None when nobody has any."""
        for name, hook in sorted(self.hooks.items()):
            said = self._asked(name, hook, step)
            if said is not None:
                return f"Hook '{name}' lets the step to {step.to_percent} % wait: {said}"
        return None

    def _asked(self, name: str, hook: Hook, step: Step) -> str | None:
        late = self._late.get(name)
        if late is not None and late.is_alive():  # asked again at every tick, it would fill the memory with threads
            return "it has still not answered what it was asked before."
        answers: list[str | None] = []
        thread = threading.Thread(target=_ask, args=(hook, step, answers), daemon=True, name="rollout-hook")
        thread.start()
        thread.join(self.seconds)
        if answers:
            return answers[0]
        self._late[name] = thread
        return f"it has not answered within {self.seconds:g} seconds."


NO_HOOKS = Hooks()


def installed() -> Hooks:
    """Return the hooks that are installed."""
    return Hooks({one.name: _of(one) for one in entry_points(group=GROUP)})


def _of(entry: EntryPoint) -> Hook:
    def ask(step: Step) -> str | None:
        hook: Hook = entry.load()  # only now: one that cannot be loaded objects to a step, and stops no controller
        return hook(step)

    return ask


def _ask(hook: Hook, step: Step, answers: list[str | None]) -> None:
    try:
        said = hook(step)
        answers.append(said if said is None else str(said))
    except Exception as fault:  # noqa: BLE001  # it is others' code
        answers.append(f"it failed: {type(fault).__name__}: {fault}")
