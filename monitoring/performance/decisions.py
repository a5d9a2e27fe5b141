"""What was decided, beside the probability: the version's own threshold, where its package has one."""

from collections.abc import Mapping

import polars as pl

from flywheel.contract import Contract
from flywheel.fields import read_fields

DECISION, USUAL_THRESHOLD = "decision", 0.5


def with_decisions(rows: pl.DataFrame, contracts: Mapping[str, Contract]) -> pl.DataFrame:
    """Add `decided` to rows of a binary use case: the answer's decision, else whether its probability reached .5.

    Args:
        rows: n_rows with `model_version`, `outputs` and `prediction`, as `with_losses` returns them.
        contracts: By version.
    """
    usual = pl.col("prediction") >= USUAL_THRESHOLD
    if rows.is_empty():
        return rows.with_columns(usual.alias("decided"))
    parts = [
        _decided(part, contracts[str(part["model_version"][0])])
        for part in rows.with_row_index("_index").partition_by("model_version")
    ]
    return pl.concat(parts).sort("_index").drop("_index")


def _decided(rows: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    usual = rows["prediction"] >= USUAL_THRESHOLD
    if DECISION not in {output.name for output in contract.outputs}:
        return rows.with_columns(usual.alias("decided"))
    given = read_fields(rows, "outputs", {DECISION: "boolean"})[DECISION]
    return rows.with_columns(given.zip_with(given.is_not_null(), usual).alias("decided"))
