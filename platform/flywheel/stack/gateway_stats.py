"""How Envoy keeps its histograms of times: bounds close enough to tell p90 from p99, and how late they may be.

A bound is compared with whole milliseconds, in which Envoy counts, and its bins hold two significant digits: bounds are
whole numbers of two digits, each at most a fifth above the one before as far as whole numbers can be.
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


def bounds_ms() -> list[int]:
    """Return the bounds in milliseconds, rising; the last one is above all."""
    found = [1]
    while found[-1] < LONGEST_MS:
        found.append(min(max(_two_digits(found[-1] * RATIO), found[-1] + 1), LONGEST_MS))
    return [*found, ALL_MS]


def stats_section() -> dict[str, Any]:
    """Return the bootstrap's part."""
    settings = {"match": {"suffix": "upstream_rq_time"}, "buckets": bounds_ms()}
    return {
        "stats_config": {"histogram_bucket_settings": [settings]},
        "stats_flush_interval": duration(FLUSH_SECONDS),
    }


def _two_digits(value: float) -> int:
    unit: int = 10 ** max(len(str(int(value))) - 2, 0)
    return int(value / unit) * unit
