"""How Envoy keeps its histograms of times: bounds close enough to tell p90 from p99, and how late they may be.

Envoy counts whole milliseconds, in bins of two significant digits, and a bucket holds what lies in the bin of its upper
bound as well (measured: the bucket up to 100 ms holds 100 to 109 ms). So "took at least 110 ms" is what lies above the
bucket up to 100: thresholds here are the lower edges of bins, and Envoy is told the bin below each.
https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/metrics/v3/stats.proto#config-metrics-v3-histogrambucketsettings
"""

from typing import Any

from flywheel.stack.envoy import duration

RATIO = 1.2
LONGEST_MS = 60_000
# Above every time that a request can take: what lies below is all there is.
ALL_MS = 3_600_000
# Counters are current at any time; histograms as of the last flush.
FLUSH_SECONDS = 1.0


def thresholds_ms() -> list[int]:
    """Return the times (milliseconds, rising) for which it is counted how many requests took at least so long.

    From 1 ms to a minute, each a fifth above the one before, as far as bins allow.
    """
    found = [1]
    while found[-1] < LONGEST_MS:
        found.append(min(_edge(max(found[-1] * RATIO, found[-1] + 1)), LONGEST_MS))
    return found


def threshold_seconds(upper_bound_ms: float) -> float:
    """Return the time that all requests above a bucket took at least, in seconds."""
    return (_edge(upper_bound_ms) + _width(upper_bound_ms)) / 1000


def stats_section() -> dict[str, Any]:
    """Return the bootstrap's part."""
    below = [_edge(threshold - 1) or 0.5 for threshold in thresholds_ms()]  # no bound may be 0
    settings = {"match": {"suffix": "upstream_rq_time"}, "buckets": [*below, ALL_MS]}
    return {
        "stats_config": {"histogram_bucket_settings": [settings]},
        "stats_flush_interval": duration(FLUSH_SECONDS),
    }


def _edge(milliseconds: float) -> int:
    """Return the lower edge of the bin that holds a time."""
    return int(milliseconds / _width(milliseconds)) * _width(milliseconds)


def _width(milliseconds: float) -> int:
    width: int = 10 ** max(len(str(int(milliseconds))) - 2, 0)
    return width
