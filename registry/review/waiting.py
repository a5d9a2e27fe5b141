"""The versions that wait for a decision, and what each still lacks: a fold of the audit trail that only goes forward.

A server keeps it in memory and reads what was added since: with 100,000 events a page must not read them again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Generic, NamedTuple, TypeVar

from flywheel.events import EventKind
from registry.gates.evidence import Outcome

Item = TypeVar("Item")
PAGE_SIZE = 50
STAGES = ("None", "Staging")
OPINIONS = {
    EventKind.REVIEW_APPROVED: "approved",
    EventKind.REVIEW_REJECTED: "rejected",
    EventKind.REVIEW_CHANGES_REQUESTED: "changes",
    EventKind.REVIEW_WITHDRAWN: "",
}
KINDS = (EventKind.VERSION_CREATED, EventKind.GATE_MEASURED, *OPINIONS)
# What a version may lack, in the order in which the chips stand.
LACKS = {
    "rejected": "Rejected",
    "changes": "Changes requested",
    "failing": "Gates failing",
    "unmeasured": "Gates not measured",
    "review": "Needs review",
}


class Row(NamedTuple):
    """What the fold needs of an event; `gate` and `outcome` are None but for measurements."""

    seq: int
    kind: str
    subject: str
    actor: str
    gate: str | None
    outcome: str | None


@dataclass
class Case:
    """What is known of one version: its author, each gate's last outcome, each reviewer's last opinion."""

    author: str | None = None
    gates: dict[str, str] = field(default_factory=dict)
    opinions: dict[str, str] = field(default_factory=dict)

    @property
    def approvals(self) -> int:
        """How many reviewers approve."""
        return sum(opinion == "approved" for opinion in self.opinions.values())


class Docket:
    """All cases by `model/version`, up to one event of the chain; threads may share it."""

    def __init__(self) -> None:
        self.cases: dict[str, Case] = {}
        self.seq = 0
        self.lock = Lock()

    def take(self, rows: Iterable[Row]) -> None:
        """Take events in, in the chain's order; those that were taken in already change nothing."""
        for row in rows:
            if row.seq <= self.seq:
                continue
            self.seq = row.seq
            if row.kind == EventKind.VERSION_CREATED:
                self.cases[row.subject] = Case(row.actor)  # a number that was deleted may be given anew
                continue
            case = self.cases.setdefault(row.subject, Case())
            if row.kind == EventKind.GATE_MEASURED:
                case.gates[str(row.gate)] = str(row.outcome)
            elif opinion := OPINIONS.get(EventKind(row.kind)):
                case.opinions[row.actor] = opinion
            else:
                case.opinions.pop(row.actor, None)


class Entry(NamedTuple):
    """A version that waits, as the registry has it."""

    name: str
    version: int
    stage: str
    made: datetime

    @property
    def subject(self) -> str:
        """As the audit trail names it."""
        return f"{self.name}/{self.version}"


@dataclass(frozen=True)
class Waiting:
    """A version on the list, with what it lacks."""

    entry: Entry
    author: str | None
    approvals: int
    lacks: tuple[str, ...]
    failing: tuple[str, ...]


@dataclass(frozen=True)
class Wish:
    """What the reader wants to see; '' is anything."""

    model: str = ""
    stage: str = ""
    lack: str = ""
    page: int = 1


@dataclass(frozen=True)
class Leaf(Generic[Item]):
    """One page of a list."""

    rows: Sequence[Item]
    total: int
    page: int
    pages: int


def waiting(entry: Entry, case: Case, required: Iterable[str]) -> Waiting:
    """Say what a version lacks; `required` names the gates that Production needs."""
    failing = tuple(sorted(gate for gate, outcome in case.gates.items() if outcome == Outcome.FAIL))
    opinions = set(case.opinions.values())
    found = {
        "rejected": "rejected" in opinions,
        "changes": "changes" in opinions,
        "failing": bool(failing),
        "unmeasured": any(case.gates.get(gate) in (None, Outcome.COULD_NOT_RUN) for gate in required),
        "review": not opinions,
    }
    lacks = tuple(lack for lack in LACKS if found[lack])
    return Waiting(entry, case.author, case.approvals, lacks, failing)


def leaf(found: Sequence[Item], page: int) -> Leaf[Item]:
    """Cut one page out; one beyond the last is the last."""
    pages = max((len(found) + PAGE_SIZE - 1) // PAGE_SIZE, 1)
    page = min(page, pages)
    return Leaf(found[(page - 1) * PAGE_SIZE : page * PAGE_SIZE], len(found), page, pages)


def fits(entry: Entry, wish: Wish) -> bool:
    """Say whether model and stage are as wished."""
    return wish.model.lower() in entry.name.lower() and wish.stage in ("", entry.stage)


def read_wish(given: Mapping[str, str]) -> Wish:
    """Read the address's question.

    Raises:
        ValueError: A stage, a lack or a page is not known; the message says which are.
    """
    stage, lack, page = given.get("stage", ""), given.get("missing", ""), given.get("page", "1") or "1"
    if stage not in ("", *STAGES):
        raise ValueError(f"No version waits in stage '{stage}'. Stages here: {', '.join(STAGES)}.")
    if lack not in ("", *LACKS):
        raise ValueError(f"Nothing is known to lack '{lack}'. Known: {', '.join(LACKS)}.")
    if not page.isascii() or not page.isdigit() or not int(page[:9]) > 0:
        raise ValueError(f"Page '{page}' is no number from 1 on.")
    return Wish(given.get("model", "").strip(), stage, lack, int(page[:9]))
