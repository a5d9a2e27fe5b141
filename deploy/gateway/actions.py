"""What is done with a use case's request: split by weight or by caller, or sent where it says; retried elsewhere."""

from typing import Any

from deploy.gateway.documents import TYPE, replaced
from deploy.gateway.slots import runs
from deploy.gateway.sticky import hash_policy
from deploy.gateway.traffic import (
    Backend,
    Split,
    challenger_cluster,
    champion_cluster,
    forced_cluster,
    grpc_cluster,
    mirrored_cluster,
)
from deploy.shares import CHAMPION
from flywheel.serving import Serving, UseCaseServing
from flywheel.stack.envoy import duration

# What is refused, reset or answered 502 to 504 by one version is tried on the other; everything else is an answer.
RETRY_ON = "connect-failure,refused-stream,reset,gateway-error"
# gRPC says in its status what HTTP says in its code: 14, UNAVAILABLE, is its 503.
RETRY_GRPC_ON = "connect-failure,refused-stream,reset,gateway-error,unavailable"
# After the first try; all tries together may take so many deadlines.
RETRIES = 3
DEADLINES = 3
ARM, ROLLOUT, PREVIOUS = "x-flywheel-arm", "x-flywheel-rollout", "x-flywheel-previous"
# Of a request that named its arm: it was not drawn, and proves nothing about it.
FORCED_ARM = "forced"


def action(split: Split, serving: Serving, *, rewrite: str | None = None, grpc: bool = False) -> dict[str, Any]:
    """Return a route's action; `rewrite` is a pattern whose match becomes `/`."""
    ours = serving.of(split.usecase)
    weighted: dict[str, Any] = {"clusters": _weighted(split, ours, grpc=grpc)}
    found: dict[str, Any] = {"weighted_clusters": weighted, **_tried(split, ours, rewrite=rewrite, grpc=grpc)}
    if split.challengers and (hashed := hash_policy(ours.sticky)):
        weighted["use_hash_policy"] = True
        found["hash_policy"] = hashed
    return found


def forced_action(
    split: Split, backend: Backend, serving: Serving, *, rewrite: str | None = None, grpc: bool = False
) -> dict[str, Any]:
    """Return the action of a request that names a version: to this one, and to no other where it cannot answer."""
    cluster = forced_cluster(backend)
    return {
        "cluster": grpc_cluster(cluster) if grpc else cluster,
        **_tried(split, serving.of(split.usecase), rewrite=rewrite, grpc=grpc),
    }


def forced_headers() -> dict[str, Any]:
    """Return a route's changes of headers that say so to the agent."""
    return {"request_headers_to_add": [replaced(ARM, FORCED_ARM)], "request_headers_to_remove": [ROLLOUT, PREVIOUS]}


def standing_in(split: Split) -> dict[str, Any]:
    """Return a route's changes of headers that let the previous version's agents know when they stand in."""
    if split.previous is None:
        return {"request_headers_to_remove": [PREVIOUS]}
    return {"request_headers_to_add": [replaced(PREVIOUS, split.previous.version)]}


def mirror_percent(split: Split, ours: UseCaseServing) -> float:
    """Return how much of the champion's requests the first challenger gets as well: the larger of rollout and file."""
    return max(split.mirror_percent, ours.mirror_percent) if split.challengers else 0.0


def _tried(split: Split, ours: UseCaseServing, *, rewrite: str | None, grpc: bool) -> dict[str, Any]:
    rewritten = {"pattern": {"regex": rewrite}, "substitution": "/"}
    return {
        "timeout": duration(ours.deadline_seconds * DEADLINES),
        "retry_policy": _retry_policy(split, ours.deadline_seconds, grpc=grpc),
        **({"regex_rewrite": rewritten} if rewrite is not None else {}),
    }


def _weighted(split: Split, ours: UseCaseServing, *, grpc: bool) -> list[dict[str, Any]]:
    """List the arms by their runs of slots, so that a sticky user never moves back while shares grow."""
    champion = champion_cluster(split.champion, split.previous)
    clusters = [champion, *(challenger_cluster(one) for one, _ in split.challengers)]
    if split.challenger is not None and mirror_percent(split, ours) and not grpc:
        clusters[0] = mirrored_cluster(split.champion, split.challenger)
    names = list(split.arms)
    return [
        {
            "name": grpc_cluster(clusters[arm]) if grpc else clusters[arm],
            "weight": weight,
            # Outside a rollout nothing is randomised; a client must not be able to claim that it was.
            **(
                {"request_headers_to_add": [replaced(ARM, names[arm]), replaced(ROLLOUT, split.rollout)]}
                if split.rollout
                else {"request_headers_to_remove": [ARM, ROLLOUT]}
            ),
        }
        for arm, weight in runs([percent for _, percent in split.challengers])
    ]


def _retry_policy(split: Split, try_seconds: float, *, grpc: bool) -> dict[str, Any]:
    """Retry elsewhere: never on the host that failed, and on the next of the chain.

    Where the champion has several agents, each of the chain is tried twice: what one agent of the champion refuses,
    another of its own should answer before another version does.
    """
    longest = max(len(split.chain(arm)) for arm in split.arms)
    each = 2 if len(split.champion.replicas) > 1 and len(split.chain(CHAMPION)) > 1 else 1
    return {
        "retry_on": RETRY_GRPC_ON if grpc else RETRY_ON,
        "num_retries": max(RETRIES, longest * each - 1),
        "per_try_timeout": duration(try_seconds),
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {
                    "@type": TYPE + "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                },
            }
        ],
        # A dead host has the fewest requests, so least-request draws it again and again: of three hosts with two dead,
        # the living one was drawn at one try in nine, and 73 of 462 requests failed with 3 tries.
        "host_selection_retry_max_attempts": 100,
        "retry_priority": {
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": {
                "@type": TYPE + "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
                "update_frequency": each,
            },
        },
        "retry_back_off": {"base_interval": "0.01s", "max_interval": "0.1s"},
    }
