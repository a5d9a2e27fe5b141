"""Who is told of events, and the post hooks of others' packages; webhooks are `registry.hooks.webhooks`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol

from flywheel.errors import TransientError
from flywheel.events import Event
from registry.hooks.specification import POST


class RefusedError(TransientError):
    """A receiver understood and refused: tried again all the same, but somebody should look."""


class Consumer(Protocol):
    """One receiver. The outbox calls it from one thread at a time, which is not always the same one."""

    @property
    def name(self) -> str:
        """Its own alone; its place in the chain is kept under it."""

    def describe(self) -> dict[str, str]:
        """Say what it is, without secrets: `kind` and `target`, for people."""

    def wants(self, event: Event) -> bool:
        """Return whether it is told of an event; others are passed over."""

    def deliver(self, event: Event) -> None:
        """Hand over one event, which may come again.

        Raises:
            TransientError: Not taken; it is tried again later.
            RefusedError: Not taken, and that will hardly change by itself.
        """

    def try_out(self) -> None:
        """See whether a delivery would go well, without an event; raises as `deliver`."""


@dataclass(frozen=True)
class PostHook:
    """A callable of somebody's package; see `registry.hooks.specification.post`."""

    point: EntryPoint

    @property
    def name(self) -> str:
        """The entry point's name."""
        return self.point.name

    def describe(self) -> dict[str, str]:
        """Name the callable."""
        return {"kind": "post hook", "target": self.point.value}

    def wants(self, event: Event) -> bool:
        """Take everything: the hook chooses itself."""
        return True

    def deliver(self, event: Event) -> None:
        """Call it.

        Raises:
            TransientError: It raised, or cannot be imported.
        """
        try:
            self._callable(event)
        except Exception as fault:
            what = f"{type(fault).__name__}: {fault}".splitlines()[0]
            raise TransientError(f"{self.point.value} raised {what}") from fault

    def try_out(self) -> None:
        """Import it.

        Raises:
            TransientError: It cannot be imported.
        """
        try:
            _ = self._callable
        except Exception as fault:
            raise TransientError(f"{self.point.value} cannot be imported: {fault}".splitlines()[0]) from fault

    @cached_property
    def _callable(self) -> Callable[[Event], None]:
        found: Callable[[Event], None] = self.point.load()
        return found


def post_hooks() -> Iterator[PostHook]:
    """Yield the post hooks of all installed packages."""
    yield from (PostHook(point) for point in sorted(entry_points(group=POST), key=lambda point: point.name))
