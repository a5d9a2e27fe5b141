"""The picture of one decision: evidence over blocks against the threshold, and the columns that it comes from."""

import io
import textwrap
from collections.abc import Sequence
from datetime import datetime, timedelta

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from monitoring.drift.decision import DriftDecision
from monitoring.drift.moved import Moved
from monitoring.drift.order import number_of
from monitoring.drift.wording import changes_in_words, moment

EVIDENCE, LIMIT, ALARM = "#1f5f8b", "#6b6b6b", "#b3261e"
FLOOR = 0.1  # evidence below it is none, and a log axis has no end
MOST_BARS, FEWEST_BARS = 8, 2
WIDE = 135  # characters of a line beside a bar
ABOVE, LINE = 3.6, 0.2  # inches: of the upper half, and of a line
SHOWN = timedelta(days=90)  # of evidence before the decision's own


def draw(decision: DriftDecision, title: str, before: Sequence[tuple[datetime, float]] = ()) -> bytes:
    """Draw a decision about at least one block as a PNG image.

    Args:
        decision: At least one block.
        title: What it is about.
        before: Start and e-value of blocks that were judged before, in order of time.
    """
    told = [_wrapped(f"× {sentence}") for sentence in changes_in_words(decision.looks)[:MOST_BARS]]
    shown = _shown(decision)[: MOST_BARS - len(told)]
    words = [*told, *(_wrapped(f"{one.sentence}, since {moment(one.since)}") for one in shown)]
    lines = max((text.count("\n") + 1 for text in words), default=1)
    bars = max(len(words), FEWEST_BARS) * (0.15 + LINE * lines)
    figure = Figure(figsize=(10, ABOVE + bars + 0.9), dpi=120, layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(ABOVE, bars))
    _evidence(above, decision, before)
    above.set_title(f"{title}: {decision.verdict.value}", loc="left", fontweight="bold")
    _columns(below, words, [0.0] * len(told) + [one.part for one in shown], ALARM if decision.alarms else EVIDENCE)
    quiet = "What is wrong, and where most evidence lies" if told else "Where most evidence lies"
    below.set_title("What moved" if decision.alarms else quiet, loc="left", fontsize=10)
    image = io.BytesIO()
    figure.savefig(image, format="png")
    return image.getvalue()


def _shown(decision: DriftDecision) -> tuple[Moved, ...]:
    """Return what moved in the newest alarm; of several alarms what moved most in each."""
    alarms = decision.alarms
    if len(alarms) < 2:
        return (alarms[0].moved if alarms else decision.nearest)[:MOST_BARS]
    return tuple(look.moved[0] for look in alarms[-MOST_BARS:])


def _wrapped(words: str) -> str:
    return "\n".join(textwrap.wrap(words, WIDE))


def _evidence(axes: Axes, decision: DriftDecision, before: Sequence[tuple[datetime, float]]) -> None:
    starts = [look.start for look in decision.looks]
    values = [max(look.e_value, FLOOR) for look in decision.looks]
    earlier = [(start, max(value, FLOOR)) for start, value in before if starts[0] - SHOWN <= start < starts[0]]
    if earlier:
        times = [_place(start) for start in (*(start for start, _ in earlier), starts[0])]
        axes.semilogy(times, [*(value for _, value in earlier), values[0]], color=EVIDENCE, lw=1, alpha=0.45)
    places, marker = [_place(start) for start in starts], "o" if len(starts) < 40 else ""
    axes.semilogy(places, values, color=EVIDENCE, lw=1.5, marker=marker, ms=3)
    if decision.threshold is not None:
        budget = decision.settings.false_alarms_per_year
        axes.axhline(decision.threshold, color=LIMIT, ls="--", lw=1.2)
        axes.annotate(
            f"alarm: {budget:g} a year at most by chance",
            (0.005, decision.threshold),
            xycoords=("axes fraction", "data"),
            xytext=(0, 3),
            textcoords="offset points",
            color=LIMIT,
            fontsize=9,
            bbox={"facecolor": "white", "alpha": 0.7, "lw": 0, "pad": 1},
        )
    alarms = decision.alarms
    axes.scatter(
        [_place(look.start) for look in alarms], [look.e_value for look in alarms], color=ALARM, s=45, zorder=3
    )
    for look in alarms:
        for since in {one.since for one in look.moved[:1]}:
            axes.axvspan(_place(since), _place(look.start), color=ALARM, alpha=0.12, lw=0)
    gone = [_place(look.start) for look in decision.looks if look.changes]
    axes.scatter(gone, [FLOOR] * len(gone), color=ALARM, marker="x", s=45, zorder=3, clip_on=False)
    if number_of(starts[0]) is None:
        locator = AutoDateLocator(minticks=3, maxticks=10)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("block")
    if len(starts) == 1 and not earlier:
        axes.set_xlim(places[0] - 1, places[0] + 1)
    axes.set_ylabel("evidence (e-value)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e4e4e4", lw=0.8)
    axes.set_axisbelow(True)


def _place(at: datetime) -> float:
    number = number_of(at)
    return float(date2num(at)) if number is None else number


def _columns(axes: Axes, words: Sequence[str], parts: Sequence[float], colour: str) -> None:
    """Draw a bar for each part of the evidence, with its words; what vanished has a part of 0."""
    axes.barh(range(len(parts)), parts, color=colour, alpha=0.35, height=0.8)
    for place, (text, part) in enumerate(zip(words, parts, strict=True)):
        axes.text(0.005, place, text, va="center", fontsize=9, linespacing=1.1, color="black" if part else ALARM)
    axes.set_xlim(0, 1)
    axes.set_xlabel("part of the evidence")
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.set_yticks([])
    axes.set_ylim(max(len(words), FEWEST_BARS) - 0.5, -0.5)
    axes.spines[["top", "right", "left"]].set_visible(False)
