"""Who serves what: an agent's ports, a version's agents, a use case's split, and the clusters that it needs.

No version's own cluster ends as an arm's does, so that no use case's name can be taken for another's arm.
"""

from dataclasses import dataclass

from deploy.shares import CHALLENGER, CHAMPION

GRPC_SUFFIX = "-grpc"
FORCED = "-forced"
SHADOW = "-shadow"


@dataclass(frozen=True)
class Replica:
    """One agent on loopback: its ports for HTTP and for gRPC (0: it speaks none)."""

    http: int
    grpc: int = 0


@dataclass(frozen=True)
class Backend:
    """One version's agents."""

    usecase: str
    version: str
    replicas: tuple[Replica, ...]

    @property
    def cluster(self) -> str:
        """The name of its Envoy cluster."""
        return f"{self.usecase}-v{self.version}"

    @property
    def grpc(self) -> bool:
        """Whether all its agents speak gRPC."""
        return bool(self.replicas) and all(replica.grpc for replica in self.replicas)


@dataclass(frozen=True)
class Split:
    """A use case's traffic, as a `Share` says it, with the agents that serve it.

    Args:
        champion: Takes what the challengers leave of 100 %.
        challengers: Each with its percent (0 to 100), in the order of their arms.
        rollout: Requests carry it; None: nothing is randomised.
        mirror_percent: Of the champion's requests that the first challenger gets as well.
        previous: Answers where no champion can.
        default: Agents of the declared safe default, which answer where nobody else can.
    """

    champion: Backend
    challengers: tuple[tuple[Backend, int], ...] = ()
    rollout: str | None = None
    mirror_percent: float = 0.0
    previous: Backend | None = None
    default: Backend | None = None

    @property
    def speaks_grpc(self) -> bool:
        """Whether every version that takes requests has a gRPC port."""
        return all(one.grpc for one in self.arms.values())

    @property
    def usecase(self) -> str:
        """The use case, which is the URL's first part and the route's name."""
        return self.champion.usecase

    @property
    def challenger(self) -> Backend | None:
        """The first challenger, the one that mirrored requests go to."""
        return self.challengers[0][0] if self.challengers else None

    @property
    def percent(self) -> int:
        """Percent of the requests that all challengers get together."""
        return sum(percent for _, percent in self.challengers)

    @property
    def arms(self) -> dict[str, Backend]:
        """The versions by arm, named as `Share.arms` does."""
        named = {
            CHALLENGER if number == 1 else f"{CHALLENGER}-{number}": backend
            for number, (backend, _) in enumerate(self.challengers, start=1)
        }
        return {CHAMPION: self.champion, **named}

    @property
    def live(self) -> dict[str, Backend]:
        """Everything that may be asked for by its version's number, by that."""
        found = [*self.arms.values(), *([self.previous] if self.previous else [])]
        return {one.version: one for one in found}

    @property
    def backends(self) -> list[Backend]:
        """All that requests may reach."""
        return [*self.live.values(), *([self.default] if self.default else [])]

    @property
    def weights(self) -> dict[str, int]:
        """Percent by version, of those that get any; always 100 in all."""
        found = {self.champion.version: 100 - self.percent}
        return found | {backend.version: percent for backend, percent in self.challengers if percent}

    def chain(self, arm: str) -> list[Backend]:
        """Who answers an arm's requests, each where those before it cannot."""
        last = [one for one in (self.champion, self.previous, self.default) if one is not None]
        return last if arm == CHAMPION else [self.arms[arm], *last]


def champion_cluster(champion: Backend, previous: Backend | None = None) -> str:
    """Return the name of the aggregate cluster that tries the champion first, then what stands in for it.

    The arm's counters are under the name without a previous version, whichever of these clusters its requests go to.
    """
    standing_in = f"-else-v{previous.version}" if previous is not None else ""
    return f"{champion.cluster}{standing_in}-champion"


def challenger_cluster(challenger: Backend) -> str:
    """Return the name of the aggregate cluster that tries the challenger first, then the champion."""
    return f"{challenger.cluster}-or-champion"


def mirrored_cluster(champion: Backend, challenger: Backend) -> str:
    """Return the name of the champion's aggregate cluster that shows what it gets to the challenger too."""
    return f"{champion.cluster}-to-v{challenger.version}-mirrored"


def forced_cluster(backend: Backend) -> str:
    """Return the name of the cluster for requests that name this version: no counter of an arm sees them."""
    return f"{backend.cluster}{FORCED}"


def shadow_cluster(backend: Backend) -> str:
    """Return the name of the cluster that mirrored requests go to, so that no counter of the version sees them."""
    return f"{backend.cluster}{SHADOW}"


def grpc_cluster(cluster: str) -> str:
    """Return the name of the cluster that holds the same agents' gRPC ports."""
    return f"{cluster}{GRPC_SUFFIX}"
