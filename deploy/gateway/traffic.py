"""Who serves what: an agent's ports, a version's agents, a use case's split."""

from dataclasses import dataclass

GRPC_SUFFIX = "-grpc"
MIRRORED = "-mirrored-to-v"


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
    """A use case's traffic: `percent` (0 to 100) of it to the challenger, the rest to the champion."""

    champion: Backend
    challenger: Backend | None = None
    percent: int = 0
    rollout: str | None = None

    @property
    def speaks_grpc(self) -> bool:
        """Whether every version of it has a gRPC port."""
        return self.champion.grpc and (self.challenger is None or self.challenger.grpc)

    @property
    def usecase(self) -> str:
        """The use case, which is the URL's first part and the route's name."""
        return self.champion.usecase

    @property
    def weights(self) -> dict[str, int]:
        """Percent by version; always 100 in all."""
        if self.challenger is None or self.percent == 0:
            return {self.champion.version: 100}
        return {self.champion.version: 100 - self.percent, self.challenger.version: self.percent}


def fallback_cluster(challenger: Backend) -> str:
    """Return the name of the aggregate cluster that tries the challenger first, then the champion."""
    return f"{challenger.cluster}-or-champion"


def grpc_cluster(cluster: str) -> str:
    """Return the name of the cluster that holds the same agents' gRPC ports; no use case's own name ends so."""
    return f"{cluster}{GRPC_SUFFIX}"


def shadow_cluster(backend: Backend) -> str:
    """Return the name of the cluster that mirrored requests go to, so that no counter of the version sees them."""
    return f"{backend.cluster}-shadow"


def mirrored_cluster(champion: Backend, challenger: Backend) -> str:
    """Return the name of the cluster that leads to the champion and shows what it gets to the challenger too."""
    return f"{champion.cluster}{MIRRORED}{challenger.version}"
