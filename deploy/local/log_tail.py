"""The end of a program's log, for a sentence that says that it failed."""

from pathlib import Path

from flywheel.stack.parts import PASSWORD

TAIL_LINES = 8


def log_tail(path: Path) -> str:
    """Return the last lines of a log, each once, without the passwords of addresses."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return f"It has written no log at {path}."
    # A program that is restarted repeats itself: each line once, in order of its last appearance.
    distinct = list(dict.fromkeys(reversed(lines)))[:TAIL_LINES]
    return "The end of its log:\n" + "\n".join(PASSWORD.sub(r"://\1:***@", line) for line in reversed(distinct))
