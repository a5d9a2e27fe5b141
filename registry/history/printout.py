"""A model's history and a difference as people read them in a terminal. Pure: documents in, lines out."""

from collections.abc import Iterator, Mapping
from typing import Any

NAMES = {"None": "no stage", "Deleted_Internal": "deleted"}


def history_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a history, as the route gives it."""
    model, at = found["model"], found.get("at")
    when = f"at {_moment(at)}" if at else "now"
    if found["first"] is None:
        yield f"{model} has no versions yet."
        return
    if at and not found["stages"]:
        yield f"{model} {when}: nothing. Its first event is of {_moment(found['first'])}."
        return
    yield f"{model} {when}:"
    who = "champion" if found["by_alias"] else "newest in Production (no controller has named a champion)"
    yield f"  {who}: {_reign(found['champion'])}"
    if found["challenger"]:
        yield f"  challenger: {_reign(found['challenger'])}"
    for stage in found["stages"]:
        yield f"  {NAMES.get(stage['stage'], stage['stage'])}: {_versions(stage)}"
    yield from _champions(found)


TABLES = {
    "version": "version",
    "params": "parameters",
    "data": "data",
    "inputs": "columns of a request",
    "features": "features",
    "libraries": "libraries",
    "evidence": "gates",
}


def difference_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a difference, as the route gives it."""
    yield f"a: {found['a']}"
    yield f"b: {found['b']}"
    if found["figures"]:
        yield "metrics (a | b):"
        yield from (f"  {one['name']}: {_figure(one['a'])} | {_figure(one['b'])}" for one in found["figures"])
    for key, title in TABLES.items():
        yield from _table(title, found[key])
    for file in found["files"]:
        yield f"{file['name']}:"
        yield from (f"  {line}" for line in file["lines"])
        if file["cut"]:
            yield f"  ({file['cut']} more lines)"


def _table(title: str, table: Mapping[str, Any]) -> Iterator[str]:
    if not table["rows"]:
        return
    yield f"{title} (a | b):"
    for row in table["rows"]:
        yield f"  {row['name']}: {_side(row['a'])} | {_side(row['b'])}"
    if table["cut"]:
        yield f"  ({table['cut']} more)"


def _side(value: str | None) -> str:
    return "none" if value is None else value


def _figure(figure: list[float | None] | None) -> str:
    if figure is None or figure[0] is None:
        return "none"
    value, low, high = figure
    return f"{value:.6g}" if low is None or high is None else f"{value:.6g} ({low:.6g} to {high:.6g})"


def _champions(found: Mapping[str, Any]) -> Iterator[str]:
    if not found["champions"]:
        return
    hidden = found["champion_count"] - len(found["champions"])
    yield "  champions, the latest first:" + (f" ({hidden} earlier ones: --json)" if hidden else "")
    for reign in found["champions"]:
        until = _moment(reign["until"]) if reign["until"] else "now"
        yield f"    {_moment(reign['since'])} to {until:<16}  version {reign['version']}{_decision(reign['decision'])}"


def _reign(reign: Mapping[str, Any] | None) -> str:
    if reign is None:
        return "none"
    return f"version {reign['version']} since {_moment(reign['since'])}{_decision(reign['decision'])}"


def _decision(decision: Mapping[str, Any] | None) -> str:
    if decision is None:
        return ""
    verb = "brought back" if decision["rollback"] else "approved"
    why = f": {decision['reason']}" if decision["reason"] else ""
    return f", {verb} by {decision['by']} at {_moment(decision['at'])}{why}"


def _versions(stage: Mapping[str, Any]) -> str:
    shown = ", ".join(f"{one['version']} ({one['by']})" for one in stage["latest"][:6])
    hidden = stage["count"] - min(len(stage["latest"]), 6)
    return f"{shown} and {hidden} more" if hidden > 0 else shown


def _moment(text: str | None) -> str:
    return (text or "")[:16].replace("T", " ")
