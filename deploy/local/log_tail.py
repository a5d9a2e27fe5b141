"""The end of a program's log, for a sentence that says why it failed."""

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from deploy.local.limited import OVER
from flywheel.rollbacks import LOG_FOLLOWS
from flywheel.stack.parts import PASSWORD

TAIL_LINES = 8
BEGINS = "Traceback (most recent call last):"
# How `mlflow models serve` ends when the server that it started has ended: with a traceback of its own.
ENDS_MLFLOW = "Exception: Command '["
RAISED = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Exit|Interrupt)(: |$)")
AGENTS = "Error: "  # how an agent says why it ends


def log_tail(path: Path) -> str:
    """Return why a program failed, if its log says so, and the log's last lines, without the passwords of addresses."""
    try:
        lines = _without_mlflows_own(path.read_text(errors="replace").splitlines())
    except OSError:
        return f"It has written no log at {path}."
    # A program that is restarted repeats itself: each line once, in order of its last appearance.
    distinct = list(dict.fromkeys(reversed(lines)))
    shown = [PASSWORD.sub(r"://\1:***@", line) for line in reversed(distinct[:TAIL_LINES])]
    return "\n".join([*_reason(shown), LOG_FOLLOWS, *shown])


def _without_mlflows_own(lines: Iterable[str]) -> list[str]:
    """Leave out MLflow's own traceback, which stands before the model's in nobody's interest."""
    kept = list[str]()
    for line in lines:
        kept.append(line)
        if line.startswith(ENDS_MLFLOW) and BEGINS in kept:
            last = len(kept) - 1 - kept[::-1].index(BEGINS)
            del kept[last:]
    return kept


def _reason(lines: list[str]) -> list[str]:
    """Return the last of these lines that says why: a limit, an exception, or what an agent says of its model."""
    for line in reversed(lines):
        if line.startswith((OVER, AGENTS)) or RAISED.match(line):
            return [line]
        with suppress(ValueError, AttributeError):
            if detail := json.loads(line).get("detail"):
                return [f"The model said: {detail}"]
    return []
