"""What the gateway counted, by arm: from counters of clusters to `ArmCounts`."""

from collections.abc import Mapping
from dataclasses import replace

from deploy.gateway.admin import Counts
from deploy.gateway.traffic import Split, challenger_cluster, champion_cluster, shadow_cluster
from deploy.shares import CHAMPION, SHADOW, ArmCounts


def arm_counts(split: Split, counts: Mapping[str, Counts]) -> dict[str, ArmCounts]:
    """Count each arm as it was randomised, and the first challenger's shadow.

    Requests of an arm that went past its version, which was ejected or unhealthy, are no evidence on it: an arm's
    requests are the smaller of what the arm took and what its version's hosts were asked. A retry lands on another
    version's host but is counted in the arm that it came from.

    Args:
        split: What is routed.
        counts: Counters by cluster, as `Gateway.counts` gives them.
    """
    found, epoch = {}, next((one.epoch for one in counts.values() if one.epoch), "")
    for arm, backend in split.arms.items():
        name = champion_cluster(backend) if arm == CHAMPION else challenger_cluster(backend)
        drawn, hosts = counts.get(name, Counts()), counts.get(backend.cluster, Counts())
        found[arm] = _bounded(drawn, attempts=hosts.attempts, failures=hosts.failures)
    if split.challenger is not None:
        shadow = counts.get(shadow_cluster(split.challenger), Counts())
        found[SHADOW] = _bounded(shadow, attempts=shadow.requests, failures=shadow.errors)
    return {arm: replace(one, epoch=epoch) for arm, one in found.items()}


def _bounded(drawn: Counts, *, attempts: int, failures: int) -> ArmCounts:
    requests = min(drawn.requests, attempts)
    slow = {bound: min(count, requests) for bound, count in drawn.slow.items()}
    return ArmCounts(requests, min(drawn.errors, failures, requests), slow)
