"""Pre hooks: others' say before a version moves. Whatever goes wrong with one of them refuses, and names it."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import structlog

from registry.hooks.specification import PRE
from registry.policy.rules import PRODUCTION, Transition

log = structlog.get_logger()

SECONDS = 5.0  # that a hook may take


@dataclass
class _Answer:
    """What a hook's thread leaves behind."""

    veto: Any = None
    fault: BaseException | None = None


def vetoes(transition: Transition, *, seconds: float = SECONDS) -> str | None:
    """Ask every pre hook; return the first refusal as a sentence, None when all let the transition pass.

    Hooks are asked in the order of their names. None is asked about a version that leaves Production.

    Args:
        transition: What is asked for.
        seconds: How long each hook may take.
    """
    if transition.source == PRODUCTION and transition.target != PRODUCTION:
        return None
    for hook in _hooks():
        if reason := _ask(hook, transition, seconds):
            return f"Transition to {transition.target} refused by hook '{hook.name}': {reason}"
    return None


def any_hooks() -> bool:
    """Say whether there is any pre hook to ask."""
    return bool(_hooks())


@cache
def _hooks() -> Sequence[EntryPoint]:
    return sorted(entry_points(group=PRE), key=lambda point: point.name)


def _ask(hook: EntryPoint, transition: Transition, seconds: float) -> str | None:
    answer = _Answer()
    thread = threading.Thread(target=_call, args=(hook, transition, answer), name=f"pre-{hook.name}", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        return f"it has not answered within {seconds:g} s. Try again, or have an operator look at the hook."
    if answer.fault is not None:
        what = f"{type(answer.fault).__name__}: {answer.fault}".splitlines()[0].rstrip(".")
        log.error("pre hook failed", hook=hook.name, reason=what)
        return f"it failed ({what}). Have an operator look at the hook."
    if answer.veto is None:
        return None
    if not isinstance(answer.veto, str) or not answer.veto.strip():
        return f"it answered {answer.veto!r}, which is neither a reason nor None. Have an operator look at the hook."
    return answer.veto.strip()


def _call(hook: EntryPoint, transition: Transition, answer: _Answer) -> None:
    try:
        veto: Callable[[Transition], Any] = hook.load()
        answer.veto = veto(transition)
    except BaseException as fault:  # noqa: BLE001  somebody else's code: whatever it raises refuses
        answer.fault = fault
