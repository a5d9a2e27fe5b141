"""The picture of one decision: evidence over blocks against the threshold, and the columns that it comes from."""

import io
from collections.abc import Sequence
from datetime import datetime

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure

from monitoring.drift.decision import DriftDecision
from monitoring.drift.moved import Moved
from monitoring.drift.wording import changes_in_words

EVIDENCE, LIMIT, ALARM = "#1f5f8b", "#6b6b6b", "#b3261e"
FLOOR = 0.1  # evidence below it is none, and a log axis has no end
MOST_BARS, FEWEST_BARS = 8, 4
SHORT = 84  # characters of a sentence beside its bar


def draw(decision: DriftDecision, title: str) -> bytes:
    """Draw a decision about at least one block as a PNG image."""
    figure = Figure(figsize=(10, 6), dpi=120, layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(3, 2))
    _evidence(above, decision)
    above.set_title(f"{title}: {decision.verdict.value}", loc="left", fontweight="bold")
    told = changes_in_words(decision.looks)[:MOST_BARS]
    _columns(below, told, _shown(decision)[: MOST_BARS - len(told)], ALARM if decision.alarms else EVIDENCE)
    below.set_title("What moved" if decision.alarms else "Where most evidence lies", loc="left", fontsize=10)
    image = io.BytesIO()
    figure.savefig(image, format="png")
    return image.getvalue()


def _shown(decision: DriftDecision) -> tuple[Moved, ...]:
    """Return what moved in the newest alarm; of several alarms what moved most in each."""
    alarms = decision.alarms
    if len(alarms) < 2:
        return (alarms[0].moved if alarms else decision.nearest)[:MOST_BARS]
    return tuple(look.moved[0] for look in alarms[-MOST_BARS:])


def _evidence(axes: Axes, decision: DriftDecision) -> None:
    starts = [look.start for look in decision.looks]
    values = [max(look.e_value, FLOOR) for look in decision.looks]
    axes.semilogy(starts, values, color=EVIDENCE, lw=1.5, marker="o" if len(starts) < 40 else "", ms=3)
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
    locator = AutoDateLocator(minticks=3, maxticks=10)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.set_ylabel("evidence (e-value)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e4e4e4", lw=0.8)
    axes.set_axisbelow(True)


def _place(moment: datetime) -> float:
    return float(date2num(moment))


def _columns(axes: Axes, told: Sequence[str], shown: Sequence[Moved], colour: str) -> None:
    """List what is certain, then what moved by its part of the evidence."""
    for place, sentence in enumerate(told):
        axes.text(0.005, place, f"× {_cut(sentence)}", va="center", fontsize=9, color=ALARM)
    places = range(len(told), len(told) + len(shown))
    axes.barh(places, [one.part for one in shown], color=colour, alpha=0.35, height=0.7)
    for place, one in zip(places, shown, strict=True):
        axes.text(0.005, place, f"{_cut(one.sentence)}, since {one.since:%Y-%m-%d}", va="center", fontsize=9)
    axes.set_xlim(0, 1)
    axes.set_xlabel("part of the evidence")
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.set_yticks([])
    axes.set_ylim(max(len(told) + len(shown), FEWEST_BARS) - 0.5, -0.5)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _cut(words: str) -> str:
    return words if len(words) <= SHORT else words[: SHORT - 1] + "…"
