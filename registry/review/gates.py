"""Gates as the page shows them: each with its state, whether its evidence still counts, and what repeats it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from registry.gates.evidence import Evidence, Outcome
from registry.policy.standing import Need

PREFIX = "gate:"
SLICES = "slices"
# In which order they are read: what stops a version first.
STATES = ("fail", "could_not_run", "other_bytes", "stale", "missing", "pass")
WORDS = {
    "pass": "Pass",
    "fail": "Fail",
    "could_not_run": "Could not run",
    "other_bytes": "Other bytes",
    "stale": "Stale",
    "missing": "Not measured",
}


@dataclass(frozen=True)
class Shown:
    """One gate.

    Args:
        name: Its name.
        state: Of `STATES`.
        sentence: What was measured and what it means, or what is missing.
        required: Whether Production needs it.
        evidence: The newest there is; None when it was never measured.
        old: How old that is; None likewise.
    """

    name: str
    state: str
    sentence: str
    required: bool
    evidence: Evidence | None
    old: timedelta | None

    @property
    def word(self) -> str:
        """The state in words."""
        return WORDS[self.state]

    @property
    def tone(self) -> str:
        """Good, bad, or warn: for colour beside the word."""
        return {"pass": "good", "fail": "bad"}.get(self.state, "warn")


def shown_gates(
    needs: Iterable[Need], evidence: Sequence[Evidence], digest: str | None, expire: timedelta, now: datetime
) -> list[Shown]:
    """Join what is required with what was measured; what stops the version comes first.

    Args:
        needs: Of the version's standing; those named `gate:…` are required.
        evidence: The newest of each gate.
        digest: Of the version's bytes; None where they could not be read, so that no evidence is called another's.
        expire: Evidence older than this is stale.
        now: Time of judgement, with its zone.
    """
    required = {need.name.removeprefix(PREFIX): need for need in needs if need.name.startswith(PREFIX)}
    measured = {one.gate: one for one in evidence}
    rows = [
        _shown(name, required.get(name), measured.get(name), digest, expire, now)
        for name in sorted({*required, *measured})
    ]
    return sorted(rows, key=lambda row: (STATES.index(row.state), not row.required, row.name))


def _shown(
    name: str, need: Need | None, found: Evidence | None, digest: str | None, expire: timedelta, now: datetime
) -> Shown:
    if found is None:
        sentence = need.sentence if need else ""
        return Shown(name, "missing", sentence, need is not None, None, None)
    old = now - found.at
    # A need that is not met although the gate passed: its limits or the champion changed since.
    outdated = old > expire or (need is not None and not need.met)
    state = _state(found, digest, outdated)
    # Where the gate is content and Production is not, the need says why.
    sentence = need.sentence if need and not need.met and state != "fail" else found.measurement.sentence
    return Shown(name, state, sentence, need is not None, found, old)


def _state(found: Evidence, digest: str | None, outdated: bool) -> str:
    if digest is not None and found.digest != digest:
        return "other_bytes"
    if found.measurement.outcome is not Outcome.PASS:
        return str(found.measurement.outcome)
    return "stale" if outdated else "pass"


@dataclass(frozen=True)
class GatePart:
    """A part of the rows that the gate on slices looked at, and its loss as a multiple of all rows' loss."""

    name: str
    rows: int
    ratio: float


def gate_parts(gates: Iterable[Shown]) -> tuple[GatePart, ...]:
    """Return the worst parts that the gate on slices found of these bytes, the worst first.

    It also looks at text and truth values that the use case does not name, so that it may know parts where training
    scored none.
    """
    found = next((one.evidence for one in gates if one.name == SLICES and one.state != "other_bytes"), None)
    details = found.measurement.details if found is not None else None
    rows = (details or {}).get("worst", ())
    return tuple(GatePart(str(one["part"]), int(one["rows"]), float(one["ratio"])) for one in rows)


def tally(gates: Iterable[Shown]) -> dict[str, int]:
    """Count the gates by state, in the order of `STATES`."""
    counted = dict.fromkeys(STATES, 0)
    for gate in gates:
        counted[gate.state] += 1
    return {state: number for state, number in counted.items() if number}
