"""What a record or a line is evidence of: its side, and whether it failed. Pure."""

import polars as pl

from deploy.evidence.plan import EvidencePlan

# The arms as the gateway names them; the challenger's is the plan's.
CHAMPION, MIRRORED = "champion", "shadow"
# The sides as the verdict names them, and what is of neither.
CANARY, BASELINE, OTHER = "canary", "baseline", "other"
# UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
GRPC_FAULTS = (2, 4, 12, 13, 14, 15)


def side_of(plan: EvidencePlan) -> pl.Expr:
    """Name a record's side: what an arm's fallback, another version, has answered is evidence of neither."""
    arm, version = pl.col("arm"), pl.col("model_version")
    canary = (arm == plan.arm) & (version == plan.challenger)
    baseline = (arm == CHAMPION) & (version == plan.champion)
    return pl.when(canary).then(pl.lit(CANARY)).when(baseline).then(pl.lit(BASELINE)).otherwise(pl.lit(OTHER))


def with_sides(lines: pl.DataFrame, plan: EvidencePlan) -> pl.DataFrame:
    """Return the lines (n, …) of the two arms, with `side`: where each was sent, whoever answered."""
    sides = {CHAMPION: BASELINE, plan.arm: CANARY}
    side = pl.col("arm").replace_strict(sides, default=None, return_dtype=pl.String)
    return lines.with_columns(side=side).filter(pl.col("side").is_not_null())


def failed() -> pl.Expr:
    """Say of a line whether its request failed as it was randomised: at the first attempt, whatever came after it.

    A retry goes to another version, so that later attempts say nothing of the arm. 5xx is the service's fault, and so
    are the same of gRPC, whose code is 200.
    """
    grpc = pl.col("grpc_status").is_in(GRPC_FAULTS).fill_null(value=False)
    return (pl.col("attempts") > 1) | (pl.col("code") >= 500) | grpc
