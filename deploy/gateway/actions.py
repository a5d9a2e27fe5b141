"""What is done with a use case's request: split by weight or by caller, retried elsewhere."""

from typing import Any

from deploy.gateway.documents import TYPE, replaced
from deploy.gateway.sticky import hash_policy
from deploy.gateway.traffic import Split, fallback_cluster, grpc_cluster, mirrored_cluster
from flywheel.serving import Serving
from flywheel.stack.envoy import duration

# What is refused, reset or answered 502 to 504 by one version is tried on the other; everything else is an answer.
RETRY_ON = "connect-failure,refused-stream,reset,gateway-error"
# gRPC says in its status what HTTP says in its code: 14, UNAVAILABLE, is its 503.
RETRY_GRPC_ON = "connect-failure,refused-stream,reset,gateway-error,unavailable"
# After the first try, and all within so many deadlines.
RETRIES = 3


def action(split: Split, serving: Serving, *, rewrite: str | None = None, grpc: bool = False) -> dict[str, Any]:
    """Return a route's action; `rewrite` is a pattern whose match becomes `/`."""
    ours = serving.of(split.usecase)
    weighted: dict[str, Any] = {"clusters": _weighted(split, grpc=grpc, mirrors=ours.mirror_percent > 0)}
    found: dict[str, Any] = {
        "weighted_clusters": weighted,
        "timeout": duration(ours.deadline_seconds * RETRIES),
        "retry_policy": _retry_policy(ours.deadline_seconds, grpc=grpc),
    }
    if rewrite is not None:
        found["regex_rewrite"] = {"pattern": {"regex": rewrite}, "substitution": "/"}
    if split.challenger is not None and (hashed := hash_policy(ours.sticky)):
        weighted["use_hash_policy"] = True
        found["hash_policy"] = hashed
    return found


def _weighted(split: Split, *, grpc: bool, mirrors: bool) -> list[dict[str, Any]]:
    """List the champion first: a sticky user's hash then never moves back to the champion while the share grows."""
    champion = split.champion.cluster
    if mirrors and split.challenger is not None and not grpc:
        champion = mirrored_cluster(split.champion, split.challenger)
    rows = [(champion, 100 - split.percent if split.challenger else 100, "champion")]
    if split.challenger is not None and split.percent:
        rows.append((fallback_cluster(split.challenger), split.percent, "challenger"))
    return [
        {
            "name": grpc_cluster(cluster) if grpc else cluster,
            "weight": weight,
            # Outside a rollout nothing is randomised; a client must not be able to claim that it was.
            **(
                {"request_headers_to_add": _headers(arm, split.rollout)}
                if split.rollout
                else {"request_headers_to_remove": ["x-flywheel-arm", "x-flywheel-rollout"]}
            ),
        }
        for cluster, weight, arm in rows
    ]


def _headers(arm: str, rollout: str) -> list[dict[str, Any]]:
    return [replaced("x-flywheel-arm", arm), replaced("x-flywheel-rollout", rollout)]


def _retry_policy(try_seconds: float, *, grpc: bool) -> dict[str, Any]:
    """Retry elsewhere: never on the host that failed, and on the next priority (the champion) at once."""
    return {
        "retry_on": RETRY_GRPC_ON if grpc else RETRY_ON,
        "num_retries": RETRIES,
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
                "update_frequency": 1,
            },
        },
        "retry_back_off": {"base_interval": "0.01s", "max_interval": "0.1s"},
    }
