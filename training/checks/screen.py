"""The one pass over all columns that tells which of them need a closer look."""

from dataclasses import dataclass

import polars as pl

from flywheel.contract import Contract
from training.checks.rules import RowRule

PROBE_ROWS = 1000


@dataclass(frozen=True)
class Screening:
    """What one pass over n_rows showed: rules that some row may break, columns without values, columns of one value."""

    suspects: tuple[RowRule, ...]
    missing: dict[str, int]
    constant: tuple[str, ...]


def screen(frame: pl.DataFrame, contract: Contract, rules: list[RowRule]) -> Screening:
    """Compute all screening figures in one select."""
    names = [column.name for column in contract.columns]
    probes = [name for name in names if name != contract.event_time and frame[name].head(PROBE_ROWS).n_unique() == 1]
    figures = frame.select(
        *(rule.suspect.alias(f"suspect {index}") for index, rule in enumerate(rules)),
        *(pl.col(name).null_count().alias(f"missing {name}") for name in names),
        # One value in the first rows: perhaps in all. Missing values beside it would be information.
        *((pl.col(name) == pl.col(name).first()).all().alias(f"constant {name}") for name in probes),
    ).row(0, named=True)
    missing = {name: int(figures[f"missing {name}"]) for name in names}
    return Screening(
        suspects=tuple(rule for index, rule in enumerate(rules) if figures[f"suspect {index}"]),
        missing=missing,
        constant=tuple(name for name in probes if missing[name] == 0 and figures[f"constant {name}"]),
    )
