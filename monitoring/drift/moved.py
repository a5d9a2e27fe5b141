"""Which streams the evidence comes from: since when, from what to what, in words and numbers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from monitoring.drift.evidence import Strongest
from monitoring.drift.kind import GREATEST_LOG, KindWatch
from monitoring.drift.order import written
from monitoring.drift.streams import Kind, Stream

NORMAL_95 = 1.96
MOST_NAMED = 50  # of an alarm; the rest is counted
NEAREST = 5  # streams that are shown while there is no alarm


@dataclass(frozen=True)
class Moved:
    """One stream's part of the evidence.

    Args:
        stream: Which.
        since: Start of the block since which it has likeliest moved.
        part: Of all evidence, 0 to 1.
        log_e: The log of its own e-value.
        level: Before, in units of the stream.
        effect: By how much it has moved, in units of the stream.
        error: Standard error of `effect`, as if `since` had been known.
    """

    stream: Stream
    since: datetime
    part: float
    log_e: float
    level: float
    effect: float
    error: float

    @property
    def before(self) -> float:
        """What was usual: see `_shown`."""
        return _shown(self.stream, self.level)

    @property
    def after(self) -> float:
        """What is, likeliest, now."""
        return _shown(self.stream, self.level + self.effect)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of `after`."""
        ends = [self.level + self.effect + side * NORMAL_95 * self.error for side in (-1, 1)]
        return _shown(self.stream, ends[0]), _shown(self.stream, ends[1])

    def body(self) -> dict[str, Any]:
        """Return plain JSON values."""
        low, high = self.interval
        return {
            "what": self.stream.kind.value,
            "column": self.stream.column,
            "source": self.stream.source,
            "detail": self.stream.detail,
            "since": written(self.since),
            "part": self.part,
            "e_value": math.exp(min(self.log_e, GREATEST_LOG)),
            "before": self.before,
            "after": self.after,
            "low": low,
            "high": high,
            "sentence": self.sentence,
        }

    @property
    def sentence(self) -> str:
        """The stream in words."""
        low, high = self.interval
        return _WORDS[self.stream.kind].format(
            column=self.stream.column,
            detail=self.stream.detail,
            before=self.before,
            after=self.after,
            shift=self.after - self.before,
            ratio=self.after / self.before if self.before else math.inf,
            low=low,
            high=high,
            low_shift=low - self.before,
            high_shift=high - self.before,
            low_ratio=low / self.before if self.before else math.inf,
            high_ratio=high / self.before if self.before else math.inf,
        )


_SHARE = "from {before:.2%} to {after:.2%} ({low:.2%} to {high:.2%})"
_WORDS = {
    Kind.MEAN: "'{column}' moved by {shift:+.2f} sd ({low_shift:+.2f} to {high_shift:+.2f})",
    Kind.SPREAD: "the spread of '{column}' is {ratio:.2f} times what it was ({low_ratio:.2f} to {high_ratio:.2f})",
    Kind.MISSING: "missing values of '{column}' went " + _SHARE,
    Kind.SHARE: "'{detail}' in '{column}' went " + _SHARE,
    Kind.RARE: "rare values of '{column}' went " + _SHARE,
    Kind.NEW: "values of '{column}' that the reference does not know went " + _SHARE,
    Kind.TOGETHER: "the correlation of '{column}' and '{detail}' went "
    "from {before:.2f} to {after:.2f} ({low:.2f} to {high:.2f})",
    Kind.ROWS: "rows a block went from {before:,.0f} to {after:,.0f} ({low:,.0f} to {high:,.0f})",
}


def ranked_streams(
    kinds: Mapping[Kind, KindWatch],
    parts: Mapping[Kind, float],
    threshold: float | None,
    *,
    start: datetime,
    every: timedelta,
) -> tuple[Moved, ...]:
    """Rank streams by their part of the evidence.

    Args:
        kinds: The watches.
        parts: Weight of each kind, together 1.
        threshold: On an alarm: only streams that have moved are returned. By e-BH (Wang and Ramdas, JRSS B 84, 2022)
            these are the k with most evidence, k the largest number whose weighted e-values all reach threshold / k.
            None: the `NEAREST`.
        start: Of the newest block.
        every: The length of a block.
    """
    found, total = [], sum(parts[kind] * watch.e_value() for kind, watch in kinds.items())
    for kind, watch in kinds.items():
        strongest, weights = watch.strongest(), parts[kind] * watch.weights
        with np.errstate(divide="ignore"):
            weighted = strongest.evidence + np.log(weights)
        found += [(float(weighted[place]), watch, place, strongest) for place in range(len(weights))]
    found.sort(key=lambda one: -one[0])
    kept = NEAREST if threshold is None else _named([one[0] for one in found], threshold)
    shown = [one for one in found[:kept] if math.isfinite(one[0])]
    return tuple(_moved(*one, log_total=math.log(total) if total else 0.0, newest=start, every=every) for one in shown)


def _named(weighted: list[float], threshold: float) -> int:
    enough = [k for k, log in enumerate(weighted, start=1) if log >= math.log(threshold / k)]
    return max(enough, default=1)


def _moved(
    weighted: float,
    watch: KindWatch,
    place: int,
    strongest: Strongest,
    *,
    log_total: float,
    newest: datetime,
    every: timedelta,
) -> Moved:
    return Moved(
        watch.streams[place],
        newest - every * (int(strongest.age[place]) - 1),
        math.exp(min(weighted - log_total, 0.0)),
        float(strongest.evidence[place]),
        float(watch.level[place]),
        float(strongest.effect[place]),
        float(strongest.error[place]),
    )


def _shown(stream: Stream, value: float) -> float:
    """Return a stream's value as people read it: a share, a standard deviation of scores, a correlation, rows."""
    if stream.share is not None:
        return stream.share.read(value)
    if stream.kind is Kind.SPREAD:
        return math.exp(value / 2)
    if stream.kind is Kind.TOGETHER:
        return math.tanh(value)
    return math.exp(min(value, 50.0)) if stream.kind is Kind.ROWS else value
