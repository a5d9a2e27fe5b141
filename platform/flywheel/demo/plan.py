"""What one demo plays: how much traffic in which month, and when the bad version comes."""

from dataclasses import dataclass
from datetime import datetime, timedelta

# A label is known a day after the flight: a window is checked when its last labels are.
LABEL_DELAY = timedelta(days=1)


@dataclass(frozen=True)
class Window:
    """One month of flights: `requests` of them, drawn at random, are replayed."""

    start: datetime
    end: datetime
    requests: int

    @property
    def checked_at(self) -> datetime:
        """When monitoring looks at this window (simulated time, UTC)."""
        return self.end + LABEL_DELAY


@dataclass(frozen=True)
class Plan:
    """One demo.

    Attributes:
        windows: Consecutive months.
        trials: Optuna trials of the first training; None leaves it to the use case.
        bad_version_from: Index of the first window whose traffic may meet the bad version; it waits for a running
            rollout to end.
        sample_seed: Seed of the draw of flights.
    """

    windows: tuple[Window, ...]
    trials: int | None
    bad_version_from: int
    sample_seed: int = 20130401

    @property
    def requests(self) -> int:
        """How many flights are replayed in all."""
        return sum(window.requests for window in self.windows)


def months(year: int, requests: dict[int, int]) -> tuple[Window, ...]:
    """Return one window a month, with its number of requests."""
    return tuple(
        Window(datetime(year, month, 1), datetime(year + month // 12, month % 12 + 1, 1), count)
        for month, count in requests.items()
    )


# A rollout needs about 5,500 requests: 370 to the canary at 10 %, as many at 50 %, and what passes between two looks.
# So traffic has a pace, or a fast machine would be through with it before the controller has looked.
PACE = 500.0  # requests a second
FULL = Plan(windows=months(2013, dict.fromkeys(range(4, 13), 6_000)), trials=None, bad_version_from=6)

# The same story in a few minutes, for the tests.
SLICE = Plan(windows=months(2013, {6: 1_500, 7: 8_000, 8: 3_000}), trials=2, bad_version_from=2)
