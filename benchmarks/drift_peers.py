"""What others say of the same windows: their documented rules, computed from the same counts on the reference's scale.

On that scale a normal column is in standard deviations, so a Wasserstein distance over it is the normed one.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import stats

from flywheel.profiling.block import Block
from flywheel.profiling.scale import PLACES
from flywheel.profiling.series import Series
from flywheel.statistics import Floats

SMALL_REFERENCE = 1_000  # Evidently 0.7.23: up to so many rows p-values below .05, above it distances of .1
EVIDENTLY_P, EVIDENTLY_DISTANCE, EVIDENTLY_SHARE = 0.05, 0.1, 0.5
ALPHA = 0.05  # of Kolmogorov-Smirnov with Bonferroni, each day
PSI_LIMIT, PSI_BINS, PSI_LEAST = 0.2, 10, 1e-4
EVIDENTLY, EVIDENTLY_ANY, KS, PSI = "evidently", "evidently, any column", "ks + bonferroni", "psi"
PEERS = (EVIDENTLY, EVIDENTLY_ANY, KS, PSI)


@dataclass(frozen=True)
class Counted:
    """Counts of some rows: `numbers` (n_numeric, n_places), `names` (n_named, n_values), and missing of all columns."""

    numbers: Floats
    names: Floats
    missing: Floats
    rows: float

    @classmethod
    def of(cls, block: Block) -> Self:
        """Take a block's."""
        names = [np.append(part.counts, part.other) for part in block.categories.values()]
        return cls(
            np.array([part.counts for part in block.numbers.values()], dtype=np.float64).reshape(-1, len(PLACES)),
            np.array(names, dtype=np.float64),
            np.array([column.missing for column in block.columns.values()], dtype=np.float64),
            float(block.rows),
        )

    def plus(self, other: "Counted") -> "Counted":
        """Return the counts of both."""
        return Counted(
            self.numbers + other.numbers, self.names + other.names, self.missing + other.missing, self.rows + other.rows
        )


def counted(series: Series) -> Counted:
    """Return the counts of all rows of a series of at least one block."""
    first, *rest = (Counted.of(block) for block in series.blocks)
    for other in rest:
        first = first.plus(other)
    return first


@dataclass(frozen=True)
class Figures:
    """What the peers compute of one window: the greatest is what they alarm on, when tuned."""

    distances: Floats
    p_value: float
    psi: float
    evidently_p: Floats

    def tuned(self) -> dict[str, float]:
        """Return one figure a peer, the more the larger."""
        return {EVIDENTLY_ANY: float(self.distances.max()), KS: -np.log(max(self.p_value, 1e-300)), PSI: self.psi}


def figures(reference: Counted, window: Counted) -> Figures:
    """Hold a window against all rows of the reference."""
    before, now = _distribution(reference.numbers), _distribution(window.numbers)
    gaps = np.abs(before - now)
    wasserstein = gaps[:, :-1] @ np.diff(PLACES)
    sizes = reference.numbers.sum(axis=1), window.numbers.sum(axis=1)
    scaled = gaps.max(axis=1) * np.sqrt(sizes[0] * sizes[1] / (sizes[0] + sizes[1]))
    ks = np.minimum(stats.kstwobign.sf(scaled), 1.0)
    chi = np.array([_chi_squared(*pair) for pair in zip(reference.names, window.names, strict=True)])
    gone = np.array(
        [
            _share_test(*pair, reference.rows, window.rows)
            for pair in zip(reference.missing, window.missing, strict=True)
        ]
    )
    every = np.concatenate([ks, chi, gone])
    return Figures(
        np.concatenate([wasserstein, _jensen_shannon(reference.names, window.names)]),
        float(every.min() * len(every)),
        _psi(reference, window),
        np.concatenate([ks, chi]),
    )


def alarms(reference: Counted, found: Figures) -> dict[str, bool]:
    """Return which peers would alarm, by their defaults."""
    small = reference.rows <= SMALL_REFERENCE
    drifted = found.evidently_p < EVIDENTLY_P if small else found.distances >= EVIDENTLY_DISTANCE
    return {
        EVIDENTLY: bool(drifted.mean() >= EVIDENTLY_SHARE),
        EVIDENTLY_ANY: bool(drifted.any()),
        KS: found.p_value < ALPHA,
        PSI: found.psi > PSI_LIMIT,
    }


def _distribution(counts: Floats) -> Floats:
    return np.asarray(counts.cumsum(axis=1) / counts.sum(axis=1, keepdims=True))


def _chi_squared(before: Floats, now: Floats) -> float:
    """Return the p-value of homogeneity; values that neither has are left out."""
    table = np.stack([before, now])[:, before + now > 0]
    return float(stats.chi2_contingency(table, correction=False).pvalue) if table.shape[1] > 1 else 1.0


def _share_test(before: float, now: float, rows_before: float, rows_now: float) -> float:
    pooled = (before + now) / (rows_before + rows_now)
    error = np.sqrt(pooled * (1 - pooled) * (1 / rows_before + 1 / rows_now))
    return 1.0 if error == 0 else float(2 * stats.norm.sf(abs(before / rows_before - now / rows_now) / error))


def _jensen_shannon(before: Floats, now: Floats) -> Floats:
    """Return the square root of the divergence in bits, (n_named,)."""
    if not len(before):
        return np.zeros(0)
    one, other = (part / part.sum(axis=1, keepdims=True) for part in (before, now))
    middle = (one + other) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(part > 0, part * np.log2(part / middle), 0.0).sum(axis=1) / 2 for part in (one, other)]
    return np.asarray(np.sqrt(np.maximum(parts[0] + parts[1], 0)))


def _psi(reference: Counted, window: Counted) -> float:
    """Return the greatest population stability index of any column: tenths of numbers, or values, and missing ones."""
    edges = np.linspace(0, len(PLACES), PSI_BINS + 1).astype(int)[:-1]
    bins = [np.add.reduceat(part.numbers, edges, axis=1) for part in (reference, window)]
    numeric = len(reference.numbers)
    whole = [
        np.column_stack([part, one.missing[:numeric]]) for part, one in zip(bins, (reference, window), strict=True)
    ]
    found = [_index(*whole), *([_index(reference.names, window.names)] if len(reference.names) else [])]
    return float(np.concatenate(found).max())


def _index(before: Floats, now: Floats) -> Floats:
    one, other = (np.maximum(part / part.sum(axis=1, keepdims=True), PSI_LEAST) for part in (before, now))
    return np.asarray(((one - other) * np.log(one / other)).sum(axis=1))
