"""What is to be measured of a version: a fold of its events. Asked for, and not measured since."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from flywheel.events import Event, EventKind


@dataclass(frozen=True)
class Waiting:
    """What was asked for and is not complete.

    Args:
        upto: The newest question's event; 0 when nothing waits.
        everything: Whether some question is about all gates that policy and use case require.
        named: Gates that questions name.
        measured: Gates that were measured after the last question about them, by a job that did not come to its end.
        of_usecase: Gates that the use case requires, as the version's registration says; None where it does not.
    """

    upto: int = 0
    everything: bool = False
    named: frozenset[str] = frozenset()
    measured: frozenset[str] = frozenset()
    of_usecase: tuple[str, ...] | None = None

    def is_void(self, required: Iterable[str]) -> bool:
        """Say whether no gate can be meant, as far as is known without the version's files, which take long to fetch.

        `required` are the policy's gates.
        """
        return not self.upto or not (self.named or tuple(required) or self.of_usecase != ())

    def left(self, required: Iterable[str]) -> tuple[str, ...]:
        """Return the gates that are still to be measured, in order; `required` are those of policy and use case."""
        wanted = dict.fromkeys([*(required if self.everything else ()), *sorted(self.named)])
        return tuple(gate for gate in wanted if gate not in self.measured)


def waiting(events: Iterable[Event]) -> Waiting:
    """Fold one version's events, oldest first.

    A new version asks for everything, and so does a request that names no gate. Evidence says up to which question it
    answers (`asked`); the last of a job (`remaining` 0) answers for all of them.
    """
    questions: list[tuple[int, tuple[str, ...]]] = []
    answered: dict[str, int] = {}
    of_usecase: tuple[str, ...] | None = None
    for event in events:
        if event.kind == EventKind.VERSION_CREATED:
            questions.append((event.seq, ()))
            origin = event.body.get("origin")
            of_usecase = tuple(origin["gates"]) if isinstance(origin, Mapping) and "gates" in origin else None
        elif event.kind == EventKind.GATES_REQUESTED:
            questions.append((event.seq, tuple(event.body.get("gates") or ())))
        elif event.kind == EventKind.GATE_MEASURED:
            asked = int(event.body.get("asked") or 0)
            answered[str(event.body["gate"])] = asked
            if event.body.get("remaining") == 0:
                questions = [question for question in questions if question[0] > asked]
    return replace(_open(questions, answered), of_usecase=of_usecase) if questions else Waiting()


def _open(questions: list[tuple[int, tuple[str, ...]]], answered: dict[str, int]) -> Waiting:
    everything = max((seq for seq, gates in questions if not gates), default=0)
    asked: dict[str, int] = {}
    for seq, gates in questions:
        asked |= dict.fromkeys(gates, seq)
    measured = frozenset(gate for gate, seq in answered.items() if seq >= max(everything, asked.get(gate, 0)))
    return Waiting(questions[-1][0], everything > 0, frozenset(asked), measured)
