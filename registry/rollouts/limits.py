"""What a metric looks at and what it tolerates, in words, by its kind; the record has the rest of its plan. Pure."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from registry.review.formats import decimals, seconds

Metric = Mapping[str, Any]


def limits(guard: str, metric: Metric) -> str:
    """Tell what a person wants to know of a guard's metric; "" of a kind that is not known here."""
    words = _outage if guard == "outage" else WORDS.get(str(metric.get("kind")))
    return " ".join(words(metric)) if words is not None else ""


def _errors(metric: Metric) -> Iterator[str]:
    if "part" not in metric:
        yield "Opens the gates, and rolls nothing back."
    ratio = [f"{decimals(metric['ratio'])} times the champion's rate"] if "ratio" in metric else []
    rise = [f"{decimals(100 * metric['margin'])} percentage points above it"] if "margin" in metric else []
    if ratio or rise:
        yield f"The last step tolerates errors at {', or '.join([*ratio, *rise])}; earlier steps tolerate more."
    if metric.get("ceiling", 1.0) < 1:
        yield f"Over {_percent(metric['ceiling'])} errors no gate opens, whatever the champion does."
    if metric.get("least_requests", 1) > 1:
        yield f"At least {metric['least_requests']:,} requests at each step."


def _latency(metric: Metric) -> Iterator[str]:
    low, high = (seconds(metric["seconds"][name]) for name in ("p90", "p99"))
    yield f"Requests that take over {low}, and over {high}."
    tolerance = metric.get("tolerance", 1.0)
    often = "as often" if tolerance == 1 else f"up to {decimals(tolerance)} times as often"
    yield f"They may come {often} as the champion's. Rolls back, and opens no gate."


def _mean(metric: Metric) -> Iterator[str]:
    worse = "lower" if metric.get("better") == "higher" else "higher"
    ends = " to ".join(decimals(metric[end]) for end in ("low", "high"))
    yield f"How much {worse} its mean is than the champion's, each value being {ends}."
    tolerance = metric.get("tolerance", 0.0)
    yield f"Rolls back where it is certain that it is {f'{decimals(tolerance)} ' if tolerance else ''}{worse}."
    yield f"Up to {decimals(metric['margin'])} opens the gate." if metric.get("opens", True) else "Opens no gate."


def _outage(metric: Metric) -> Iterator[str]:
    yield "How many more of its requests fail than of the champion's, by the gateway's counts."
    yield f"Rolls back where it is certain that {_percent(metric.get('tolerance', 0.0))} more do. Opens no gate."


def _users(metric: Metric) -> Iterator[str]:
    yield f"Users whose requests fail: each counts by their failed requests, {metric.get('cap', 5)} at most."
    yield "Rolls back, and opens no gate."


def _shift(metric: Metric) -> Iterator[str]:
    yield f"Predictions, by {metric.get('bins', 10)} parts of the champion's range."
    yield (
        "Where they differ, no step is taken until people say so."
        if metric.get("holds")
        else "Tells, and stops nothing."
    )


def _percent(share: float) -> str:
    return f"{decimals(100 * share)} %"


WORDS: Mapping[str, Callable[[Metric], Iterator[str]]] = {
    "errors": _errors,
    "latency": _latency,
    "mean": _mean,
    "users": _users,
    "shift": _shift,
}
