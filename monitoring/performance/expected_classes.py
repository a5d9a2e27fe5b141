"""Metrics of several classes before outcomes come, by the probabilities that the versions answered.

Each class's probability is calibrated on rows whose outcome is known, one class against the rest, and what comes of it
is brought to a sum of 1 (Zadrozny and Elkan, KDD 2002, section 5). Without known rows the probabilities are taken as
they are: training has calibrated them.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from flywheel.contract import ColumnType, Contract
from flywheel.fields import read_fields
from flywheel.statistics import SMALLEST_PROBABILITY, Floats
from monitoring.performance.calibration import calibrate

CLASS = "probability_"  # and the name of the class
FEWEST = 100  # known rows from which on they say more than training did


def with_probabilities(rows: pl.DataFrame, contracts: Mapping[str, Contract]) -> pl.DataFrame:
    """Add `probability_<class>` for each class of any version to rows of the log; null where a version has no such.

    Args:
        rows: n_rows with `outputs`.
        contracts: By version.
    """
    outputs = {one.name: one.type for contract in contracts.values() for one in contract.outputs}
    wanted: dict[str, ColumnType] = {name: "double" for name in outputs if name.startswith(CLASS)}
    return rows.hstack(read_fields(rows, "outputs", wanted))


def classes_of(rows: pl.DataFrame) -> list[str]:
    """Return the names of the classes whose probabilities stand in rows of one version, in their order."""
    return [name.removeprefix(CLASS) for name in rows.columns if name.startswith(CLASS) and rows[name].count()]


def probabilities_of(rows: pl.DataFrame, classes: Sequence[str]) -> Floats:
    """Return the probabilities of classes, (n_rows, n_classes)."""
    return np.asarray(rows.select(pl.col(CLASS + name).cast(pl.Float64).fill_null(0.0) for name in classes).to_numpy())


def class_shares(probabilities: Floats, known: Floats, outcomes: Sequence[str], classes: Sequence[str]) -> Floats:
    """Return how often each class becomes true at such probabilities, (n_rows, n_classes), each row summing to 1.

    Args:
        probabilities: As answered, (n_rows, n_classes).
        known: The same of rows with outcomes, (n_known, n_classes).
        outcomes: Names of the classes that became true, (n_known,); others than the version's own count for none.
        classes: Their names, (n_classes,).
    """
    if len(known) < FEWEST:
        return probabilities
    true = np.array(outcomes, dtype=object)
    shares = np.column_stack(
        [
            calibrate(known[:, place], (true == name).astype(np.float64))(probabilities[:, place])
            for place, name in enumerate(classes)
        ]
    )
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def expected_of_classes(probabilities: Floats, shares: Floats) -> tuple[Floats, Floats]:
    """Return each row's log-loss (nats) and probability of being right that are to be expected, (n_rows,) each.

    Args:
        probabilities: As answered, (n_rows, n_classes); the largest is the answer.
        shares: How often each class becomes true, (n_rows, n_classes).
    """
    losses = -np.log(np.clip(probabilities, SMALLEST_PROBABILITY, 1))
    chosen = probabilities.argmax(axis=1)
    return (shares * losses).sum(axis=1), shares[np.arange(len(chosen)), chosen]
