"""What packages add to `flywheel status` below the stack's parts, found by entry point so that the kernel needs none.

An entry point of the group `flywheel.status` names a function that is given the settings and returns a `Section`. It
is called when people want to know what is broken, so it must work whatever is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from flywheel.errors import FlywheelError
from flywheel.settings import Settings

GROUP = "flywheel.status"
ORDER = ("serving", "monitoring")  # as data flows; others' sections follow, by name


@dataclass(frozen=True)
class Section:
    """One section.

    Args:
        part: Its title, and its name in the document.
        faults: What is wrong, a sentence each.
        text: Gives what people read, for a terminal of so many columns.
        values: What the document has beside `part`, `healthy` and `reason`.
    """

    part: str
    faults: tuple[str, ...] = ()
    text: Callable[[int], str] = lambda _width: ""
    values: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the section for `--json`."""
        return {"part": self.part, "healthy": not self.faults, "reason": " ".join(self.faults), **self.values}

    def shown(self, width: int) -> str:
        """Return the section for people: title, text, and each fault on a line of its own."""
        text = self.text(width)
        return "\n".join([self.part, *([text] if text else []), *(f"! {fault}" for fault in self.faults)])


def sections(settings: Settings) -> list[Section]:
    """Return the sections of all installed packages, in their order."""
    found = {point.name: point for point in entry_points(group=GROUP)}
    names = [*(name for name in ORDER if name in found), *sorted(found.keys() - set(ORDER))]
    return [_section(found[name], settings) for name in names]


def _section(point: EntryPoint, settings: Settings) -> Section:
    try:
        made: Section = point.load()(settings)
    except (FlywheelError, ImportError) as fault:
        return Section(point.name, (f"{str(fault).rstrip('.')}.",))
    except Exception as fault:  # noqa: BLE001  # others' code: the stack's parts must be shown whatever it raises
        return Section(point.name, (f"It cannot be told: {type(fault).__name__}: {fault}.",))
    return made
