"""W3C trace context: the header `traceparent`, read from what a caller sends and written for who is called.

https://www.w3.org/TR/trace-context/#traceparent-header: version, trace id, parent id and flags in small hex digits.
"""

import re
from dataclasses import dataclass

HEADER = b"traceparent"
SAMPLED = 1  # of the flags

# A later version may append fields, and ff is none; ids of zeros name nothing.
FORM = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Traceparent:
    """A span that calls: the ids of its trace and of itself, and whether its caller records it."""

    trace_id: int
    span_id: int
    sampled: bool = True

    def __str__(self) -> str:
        """Return the header's value."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{'01' if self.sampled else '00'}"


def read_traceparent(value: bytes | None) -> Traceparent | None:
    """Return what a caller says; None without the header, and for a value that is none."""
    found = FORM.fullmatch(value) if value else None
    if found is None or (found[1] == b"00" and found[5] is not None):
        return None
    return Traceparent(int(found[2], 16), int(found[3], 16), bool(int(found[4], 16) & SAMPLED))
