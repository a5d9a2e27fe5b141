"""The table of arms, as the terminal and the page show it."""

import math

from deploy.experiments import words
from deploy.experiments.readings import Reading, Standing
from deploy.experiments.report import Report

NOTHING = ("–", "–", "–", "–")


def titles(report: Report) -> tuple[str, ...]:
    """Return the titles of the columns."""
    mean = f"mean {report.plan.metric.name}"
    return ("arm", "units", "measured", mean, "gain a unit", "interval", "lift", "evidence", "standing")


def rows(report: Report) -> list[tuple[str, ...]]:
    """Return a row of texts an arm, the control first; no comparison where the shares are not as planned."""
    silent = report.judgement.ratio.mismatch
    return [_row(one, silent=silent) for one in report.judgement.arms]


def _row(one: Reading, *, silent: bool) -> tuple[str, ...]:
    counts = (one.arm, f"{one.units:,}", f"{one.measured:,}", words.number(one.mean))
    if one.standing is Standing.CONTROL:
        return (*counts, *NOTHING, "control")
    if silent:
        return (*counts, *NOTHING, "no conclusion")
    gain = words.signed(one.gain.estimate) if math.isfinite(one.gain.high) else "–"
    return (
        *counts,
        gain,
        words.interval(one.gain),
        words.lift(one),
        words.evidence(one.gain),
        words.STANDINGS[one.standing],
    )
