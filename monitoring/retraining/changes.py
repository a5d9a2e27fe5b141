"""Where the mean of a daily series changed last: exact segmentation of its day means with a penalty a change.

The optimal partition by dynamic programming (Jackson et al. 2005, An algorithm for optimal partitioning of data on an
interval, IEEE Signal Processing Letters 12) with the cost of a normal mean, without PELT's pruning (Killick, Fearnhead
and Eckley 2012, JASA 107): a history has hundreds of days, and n² of them take milliseconds.
"""

import math

import numpy as np

from flywheel.statistics import Floats

SHORTEST = 14  # days of a segment; fewer are weather
# Of log n times the variance of a day: 2 would be the SIC of Yao (1988) for independent days; a change costs the mean
# and its place, and the days' own dependence is in the long-run variance below.
PENALTY = 3.0


def last_change(daily: Floats, penalty: float = PENALTY) -> int | None:
    """Return the place of the first day of the last segment; None: one mean suffices.

    Args:
        daily: (n_days,) means of each day, NaN where there was none.
        penalty: What a further segment must save, in units of log n and of the long-run variance of a day.
    """
    known = np.flatnonzero(np.isfinite(daily))
    values = daily[known]
    if len(values) < 2 * SHORTEST:
        return None
    price = penalty * math.log(len(values)) * _long_run_variance(values)
    start = _starts(values, price)[-1]
    return None if start == 0 else int(known[start])


def _starts(values: Floats, price: float) -> list[int]:
    """Return the first places of the segments of the cheapest partition."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    squares = np.concatenate([[0.0], np.cumsum(values**2)])
    days = len(values)
    least, before = np.full(days + 1, np.inf), np.zeros(days + 1, dtype=np.int64)
    least[0] = -price
    for end in range(SHORTEST, days + 1):
        start = np.arange(0, end - SHORTEST + 1)
        length = end - start
        cost = squares[end] - squares[start] - (sums[end] - sums[start]) ** 2 / length
        total = least[start] + cost + price
        before[end] = best = int(np.argmin(total))
        least[end] = total[best]
    found = [int(before[days])]
    while found[-1] > 0:
        found.append(int(before[found[-1]]))
    return found[::-1]


def _long_run_variance(values: Floats) -> float:
    """Return the variance of a day's noise, days that resemble the next counting for more.

    Differences of neighbouring weeks' means free it from changes of the level: half their mean square is the variance
    of a week's mean, and seven times that is a day's long-run variance.
    """
    weeks = values[len(values) % 7 :].reshape(-1, 7).mean(axis=1)
    steps = np.diff(weeks)
    # The median of squares, since a change of the level is one large step: 0.4549 is the median of chi² with 1 degree.
    spread = float(np.median(steps**2)) / 0.4549 / 2
    return max(7 * spread, 1e-12)
