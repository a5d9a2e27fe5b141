"""What differs in the code under two versions, as unified differences that a page can show: bounded, line by line."""

import difflib
from dataclasses import dataclass

LONGEST = 400  # lines shown of one file's difference
INPUT = 4000  # lines compared of one file: the comparison's time grows with their square
CONTEXT = 3


@dataclass(frozen=True)
class Line:
    """A line of a difference; `kind` is added, removed, place or same."""

    kind: str
    text: str


@dataclass(frozen=True)
class FileChange:
    """One file's difference; `cut` says how many of its lines are not shown."""

    name: str
    added: int
    removed: int
    lines: tuple[Line, ...]
    cut: int = 0


def file_change(name: str, champion: bytes | None, candidate: bytes | None) -> FileChange | None:
    """Compare one file; None where both are the same or neither is there."""
    if champion == candidate:
        return None
    before, after = _lines(champion), _lines(candidate)
    raw = list(difflib.unified_diff(before, after, lineterm="", n=CONTEXT))[2:]
    lines = [_line(text) for text in raw]
    return FileChange(
        name=name,
        added=sum(line.kind == "added" for line in lines),
        removed=sum(line.kind == "removed" for line in lines),
        lines=tuple(lines[:LONGEST]),
        cut=max(len(lines) - LONGEST, 0),
    )


def _lines(content: bytes | None) -> list[str]:
    return (content or b"").decode(errors="replace").splitlines()[:INPUT]


def _line(text: str) -> Line:
    kind = {"+": "added", "-": "removed", "@": "place"}.get(text[:1], "same")
    return Line(kind, text[1:] if kind != "place" else text)
