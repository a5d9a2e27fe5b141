"""Evidence as lines for people: one a gate, the outcome first, then the number against its limit, then the sentence."""

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

MARKS = {"pass": "pass", "fail": "FAIL", "could_not_run": "could not run"}
WIDTH = 100


def lines(found: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the lines of a table; each entry has gate and what a Measurement has, as plain JSON."""
    table = []
    for one in found:
        table.append(f"{MARKS[one['outcome']]:<14} {one['gate']:<14} {number(one)}".rstrip())
        table += textwrap.wrap(str(one["sentence"]), WIDTH, initial_indent=" " * 15, subsequent_indent=" " * 15)
    return table


def number(one: Mapping[str, Any]) -> str:
    """Write value, interval, limit and unit of a measurement; '' without a value."""
    if one.get("value") is None:
        return ""
    said = f"{one['value']:.4g}"
    if one.get("low") is not None and one.get("high") is not None:
        said += f" ({one['low']:.4g} to {one['high']:.4g})"
    unit = f" {one['unit']}" if one.get("unit") else ""
    return f"{said}{unit}" + (f", limit {one['limit']:.4g}" if one.get("limit") is not None else "")


def summary(found: Iterable[Mapping[str, Any]]) -> str:
    """Say how many gates passed, failed and could not run."""
    outcomes = [one["outcome"] for one in found]
    counts = {outcome: outcomes.count(outcome) for outcome in MARKS}
    parts = [f"{counts['pass']} of {len(outcomes)} gates passed"]
    parts += [f"{counts['fail']} failed"] if counts["fail"] else []
    parts += [f"{counts['could_not_run']} could not run"] if counts["could_not_run"] else []
    return ", ".join(parts) + "."
