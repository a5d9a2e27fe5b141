"""What `evaluation.json` says of a candidate: scores beside the champion's on the same rows, and the parts of them.

The file is another package's; what is missing or of another form in it is left out, never a fault of the page.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from registry.review.comparison import Measured, less_is_better

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Duel:
    """One score of candidate and champion on the same rows; `difference` is the candidate's minus the champion's.

    `verdict` is better or worse where the difference's interval leaves zero out, else undecided; '' where nobody can
    say which direction is good.
    """

    name: str
    candidate: Measured | None
    champion: float | None
    difference: Measured
    less_is_better: bool | None
    verdict: str


@dataclass(frozen=True)
class Rivalry:
    """How the candidate did against the champion at its training.

    Args:
        rival: Its name, such as "version 1.0.0".
        verdict: better, worse, undecided, or none with a `reason`.
        loss: Mean difference of the rows' losses, with its interval.
        p_value: Two-sided; None when it could not be computed.
        duels: Score by score.
    """

    rival: str
    verdict: str
    reason: str
    loss: Measured | None
    p_value: float | None
    duels: tuple[Duel, ...]


@dataclass(frozen=True)
class Part:
    """A part of the test rows: its score, its difference to all of them (above zero is worse), and the champion's."""

    name: str
    rows: int
    metric: str
    score: Measured | None
    difference: Measured | None
    champion: Measured | None
    found_by_search: bool = False


def read_json(document: bytes | None) -> Json:
    """Return a JSON object; an empty one for what is none."""
    try:
        found = json.loads(document or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def rivalry(evaluation: Json) -> Rivalry | None:
    """Return the comparison with the champion that training made; None without one."""
    found = evaluation.get("champion")
    if not isinstance(found, dict):
        return None
    return Rivalry(
        rival=str(found.get("name", "the champion")),
        verdict=str(found.get("verdict", "")),
        reason=str(found.get("reason", "")),
        loss=interval(found.get("loss")),
        p_value=_number(found.get("p_value")),
        duels=tuple(_duels(evaluation, found)),
    )


def _duels(evaluation: Json, champion: Json) -> Iterable[Duel]:
    scores, theirs = _object(evaluation, "scores"), _object(champion, "scores")
    for name, found in _object(champion, "differences").items():
        difference = interval(found)
        if difference is None:
            continue
        less = less_is_better(name)
        yield Duel(
            name, interval(scores.get(name)), _number(theirs.get(name)), difference, less, verdict(difference, less)
        )


def verdict(difference: Measured, less: bool | None) -> str:
    """Call a difference better or worse where its interval leaves zero out, else undecided; '' without a direction."""
    if less is None:
        return ""
    if difference.low is None or difference.high is None or difference.low <= 0 <= difference.high:
        return "undecided"
    return "better" if (difference.high < 0) == less else "worse"


def parts(ours: Json, theirs: Json) -> list[Part]:
    """Return all parts, the worst first; the champion's score of a part is on the rows of its own test."""
    of_champion = {(str(row.get("column")), str(row.get("value"))): row for row in _rows(theirs, "slices")}
    named = [_slice(row, of_champion) for row in _rows(ours, "slices")]
    searched = [_found(row) for row in _rows(_object(ours, "worst_slices"), "found")]
    return sorted([*named, *searched], key=_badness, reverse=True)


def _slice(row: Json, of_champion: Mapping[tuple[str, str], Json]) -> Part:
    key = str(row.get("column")), str(row.get("value"))
    rival = of_champion.get(key)
    return Part(
        name=f"{key[0]} is {key[1]}",
        rows=int(row.get("rows") or 0),
        metric=str(row.get("metric", "")),
        score=interval(row.get("score")),
        difference=interval(row.get("difference")),
        champion=interval(rival.get("score")) if rival and rival.get("metric") == row.get("metric") else None,
    )


def _found(row: Json) -> Part:
    conditions = row.get("conditions") or []
    name = " and ".join(f"{pair[0]} is {pair[1]}" for pair in conditions if isinstance(pair, list) and len(pair) == 2)
    loss = _number(row.get("loss"))
    return Part(
        name=name or "unnamed",
        rows=int(row.get("rows") or 0),
        metric="loss",
        score=None if loss is None else Measured(loss),
        difference=interval(row.get("difference")),
        champion=None,
        found_by_search=True,
    )


def _badness(part: Part) -> float:
    if part.difference is None:
        return float("-inf")
    return part.difference.value if less_is_better(part.metric) is not False else -part.difference.value


def interval(found: object) -> Measured | None:
    """Return a figure with its interval; None for what is none."""
    if not isinstance(found, dict):
        return None
    value, low, high = (_number(found.get(key)) for key in ("value", "low", "high"))
    if value is None:
        return None
    return Measured(value) if low is None or high is None else Measured(value, low, high)


def _number(found: object) -> float | None:
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def _object(found: Json, key: str) -> Json:
    value = found.get(key)
    return value if isinstance(value, dict) else {}


def _rows(found: Json, key: str) -> list[Json]:
    value = found.get(key)
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
