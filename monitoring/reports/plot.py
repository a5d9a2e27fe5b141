"""The picture of one decision: realised loss by day, the window's mean with its interval, reference and margin."""

import io

import polars as pl
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from monitoring.performance.harm import Decision, Verdict
from monitoring.performance.measure import LOG_LOSS, Measure

REALISED, EXPECTED, ALARM = "#1f5f8b", "#6b6b6b", "#b3261e"


def loss_by_day(judged: pl.DataFrame) -> pl.DataFrame:
    """Average a judged window by day: `day`, `rows`, `loss`, `reference`, in order."""
    return (
        judged.group_by(pl.col("event_time").dt.date().alias("day"))
        .agg(pl.len().alias("rows"), pl.col("loss").mean(), pl.col("reference").mean())
        .sort("day")
    )


def draw(judged: pl.DataFrame, decision: Decision, title: str, measure: Measure = LOG_LOSS) -> bytes:
    """Draw the decision as a PNG image.

    Args:
        judged: What `monitoring.performance.harm.against_reference` returns, at least one row.
        decision: The verdict about it.
        title: Use case and window.
        measure: The loss.
    """
    daily, numbers = loss_by_day(judged), decision.numbers
    days, reference = daily["day"].to_list(), daily["reference"].to_numpy()
    figure = Figure(figsize=(10, 5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    realised = ALARM if decision.verdict is Verdict.HARM else REALISED
    assert numbers.loss is not None  # noqa: S101  there are rows
    assert numbers.reference is not None  # noqa: S101
    assert numbers.margin is not None  # noqa: S101
    if numbers.low is not None and numbers.high is not None:
        axes.axhspan(numbers.low, numbers.high, color=realised, alpha=0.15, lw=0, label="95 % interval of the mean")
    axes.axhline(numbers.loss, color=realised, lw=2, label=f"realised mean {measure.text(numbers.loss)}")
    axes.plot(days, reference, color=EXPECTED, lw=1.5, label=f"reference {measure.text(numbers.reference)}")
    limit = f"reference + margin {measure.text(numbers.margin)}"
    axes.plot(days, reference + numbers.margin, color=EXPECTED, lw=1.2, ls="--", label=limit)
    sizes = 12 + 60 * daily["rows"].to_numpy() / daily["rows"].max()
    axes.scatter(days, daily["loss"].to_numpy(), s=sizes, color=realised, lw=0, zorder=3, label="one day (size: rows)")
    axes.set_ylabel(measure.axis)
    axes.set_title(f"{title}: {decision.verdict.value}", loc="left", fontweight="bold")
    locator = AutoDateLocator(minticks=3, maxticks=10)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e4e4e4", lw=0.8)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=10)
    image = io.BytesIO()
    figure.savefig(image, format="png")
    return image.getvalue()
