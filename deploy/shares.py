"""Traffic of a use case as the controller wants it, and what a target counts of it, by arm. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy.desired import Served

CHAMPION = "champion"
CHALLENGER = "challenger"
# What a challenger is shown of the champion's requests; nobody gets its answers.
SHADOW = "shadow"


@dataclass(frozen=True)
class Challenger:
    """A version that takes a part of the requests: `percent` of them, 0 to 100."""

    served: Served
    percent: int = 0


@dataclass(frozen=True)
class Share:
    """What traffic of one use case should be; the champion gets what the challengers leave of 100.

    Args:
        champion: Takes all requests that no challenger takes, and those that a challenger cannot answer.
        challengers: The others, in a fixed order: a canary is one, an A/B/n test has several.
        mirror_percent: Of the champion's requests that the sole challenger gets as well, its answers thrown away.
        previous: Runs, and takes over where no champion can answer; None: nothing does.
        rollout: Requests carry it, so that records tell what was randomised; None: nothing is.
    """

    champion: Served
    challengers: tuple[Challenger, ...] = ()
    mirror_percent: float = 0.0
    previous: Served | None = None
    rollout: str | None = None

    def __post_init__(self) -> None:
        """Refuse weights that do not leave the champion between 0 and 100 %, and a version that is there twice."""
        names = [self.champion, *(one.served for one in self.challengers)]
        if self.percent > 100 or any(one.percent < 0 for one in self.challengers):
            raise ValueError(f"{self} gives out more than 100 %, or less than none.")
        if len(set(names)) < len(names) or self.previous in names:
            raise ValueError(f"{self} names a version twice.")

    @property
    def challenger(self) -> Served | None:
        """The first challenger, which in a canary is the only one."""
        return self.challengers[0].served if self.challengers else None

    @property
    def percent(self) -> int:
        """Percent of the requests that all challengers get together."""
        return sum(one.percent for one in self.challengers)

    @property
    def percent_of_champion(self) -> int:
        """Percent of the requests that the champion gets."""
        return 100 - self.percent

    @property
    def arms(self) -> dict[str, Served]:
        """The versions by arm, as requests are marked: `champion`, `challenger`, `challenger-2` and so on."""
        names = challenger_arms(len(self.challengers))
        return {CHAMPION: self.champion, **dict(zip(names, (one.served for one in self.challengers), strict=True))}


def challenger_arms(count: int) -> list[str]:
    """Name the arms of so many challengers."""
    return [CHALLENGER if number == 1 else f"{CHALLENGER}-{number}" for number in range(1, count + 1)]


@dataclass(frozen=True)
class ArmCounts:
    """What the gateway counted of one arm since it knows it; counters only rise, until the gateway starts anew.

    Args:
        requests: As they were randomised: each counts once, whatever its retries.
        errors: Of these, the ones whose first attempt failed.
        slow: Of these, how many took longer than a bound, by the bound in seconds.
        epoch: Which life of the gateway counts: another one has begun all counters anew. "": not known.
    """

    requests: int = 0
    errors: int = 0
    slow: Mapping[float, int] = field(default_factory=dict)
    epoch: str = field(default="", compare=False)
