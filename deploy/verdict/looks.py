"""Looks: what was counted in both arms since the last one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """Counts since the last look, of requests as they were randomised: a retry is not a request."""

    canary_requests: int
    canary_errors: int
    baseline_requests: int
    baseline_errors: int

    def __post_init__(self) -> None:
        """Refuse counts that cannot be."""
        canary = 0 <= self.canary_errors <= self.canary_requests
        if not canary or not 0 <= self.baseline_errors <= self.baseline_requests:
            raise ValueError(f"{self} counts more errors than requests, or less than none.")

    @property
    def requests(self) -> int:
        """Requests of both arms."""
        return self.canary_requests + self.baseline_requests

    @property
    def share(self) -> float:
        """The canary's share of the requests (0 to 1); there must be some."""
        return self.canary_requests / self.requests

    @property
    def is_fed(self) -> bool:
        """Both arms had traffic."""
        return self.canary_requests > 0 and self.baseline_requests > 0

    def plus(self, other: "Look") -> "Look":
        """Add two looks."""
        return Look(
            self.canary_requests + other.canary_requests,
            self.canary_errors + other.canary_errors,
            self.baseline_requests + other.baseline_requests,
            self.baseline_errors + other.baseline_errors,
        )


NOTHING = Look(0, 0, 0, 0)
