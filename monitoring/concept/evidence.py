"""The evidence that the mean loss has changed: an e-detector over several effects against a baseline that is learned.

For an effect θ (a tilt of the distribution of losses: e^{θx} more of a loss x) the factor of one loss is

    e^{θ x} / Ê[e^{θ x}],   Ê over all losses before it and half a pseudo-loss at each end of the range.

Under "no change", with the distribution drawn from the prior that the pseudo-losses stand for, a factor's expectation
given the past is 1, since Ê is the predictive distribution; the baseline's uncertainty is thereby integrated out. For
losses of 0 and 1 it is the ratio of a tilted to the plain Krichevsky-Trofimov predictive probability. The
Shiryaev-Roberts sum S ← (S + 1) · factor counts a change at every moment so far, and E S = number of losses, so that a
threshold h lets on average at least h losses pass before a false alarm; so does a weighted mean over effects. That is
exact for a given scale and on average over the prior; for the learned scale and single distributions it is simulated
(benchmarks/concept_drift.py).

Sources: Shin, Ramdas and Rinaldo, E-detectors, NEJSDS 2024 (definition 2.2, theorem 2.4 and section 3 on mixtures);
Pollak, Optimal detection of a change in distribution, Annals of Statistics 13 (1985), for Shiryaev-Roberts and its
bound; Krichevsky and Trofimov, IEEE Trans. Inf. Theory 27 (1981), for the predictive probability.
"""

from dataclasses import dataclass, replace

import numpy as np

from flywheel.statistics import Floats
from monitoring.concept.effects import signed_sizes
from monitoring.concept.scale import PSEUDO, Scale

EFFECTS = signed_sizes()
NOTHING = -1e300  # the logarithm of a sum of 0 that JSON can write


@dataclass(frozen=True)
class Evidence:
    """Where the sums stand, one number an effect, (n_effects,).

    Attributes:
        log_sums: Logarithm of the Shiryaev-Roberts sum.
        tilted: Sum of e^{θx} over the losses so far.
        height: Log-likelihood ratio since its lowest point: the CUSUM statistic, which dates the change.
        starts: What `Tally` was at that lowest point, (n_effects, 4).
    """

    log_sums: Floats
    tilted: Floats
    height: Floats
    starts: Floats


@dataclass(frozen=True)
class Path:
    """What a batch of losses does to the evidence.

    Attributes:
        log_sums: (n_effects, n_losses).
        steps: Logarithms of the factors, (n_effects, n_losses).
        tilted: Sums of e^{θx} up to and with each loss, (n_effects, n_losses).
    """

    log_sums: Floats
    steps: Floats
    tilted: Floats


def begin() -> Evidence:
    """Return the evidence before the first loss."""
    empty = np.zeros(len(EFFECTS))
    return Evidence(np.full(len(EFFECTS), NOTHING), empty, empty, np.zeros((len(EFFECTS), 4)))


def relearned(evidence: Evidence, past: Floats) -> Evidence:
    """Return it with the sums of e^{θx} taken anew, because the scale has changed.

    Args:
        evidence: So far.
        past: All losses so far in units of the new scale, (n_losses,).
    """
    return replace(evidence, tilted=np.exp(np.multiply.outer(EFFECTS, past)).sum(axis=1))


def path(evidence: Evidence, units: Floats, seen: int, scale: Scale) -> Path:
    """Follow the evidence through a batch, loss by loss.

    Args:
        evidence: Before the batch.
        units: The losses of the batch in standard deviations, (n_losses,).
        seen: Losses in `evidence.tilted`.
        scale: By which the range is known.
    """
    exponents = np.multiply.outer(EFFECTS, units)
    tilts = np.exp(exponents)
    tilted = evidence.tilted[:, None] + np.cumsum(tilts, axis=1)
    ends = PSEUDO * np.exp(np.multiply.outer(EFFECTS, np.array(scale.ends))).sum(axis=1)
    predicted = (tilted - tilts + ends[:, None]) / (seen + np.arange(len(units)) + 2 * PSEUDO)
    steps = exponents - np.log(predicted)
    ratio = np.cumsum(steps, axis=1)
    # S_t = e^{C_t} (S_0 + Σ_{j ≤ t} e^{−C_{j−1}}), C the sum of the steps: one pass without a loop
    terms = np.concatenate([np.logaddexp(evidence.log_sums, 0.0)[:, None], -ratio[:, :-1]], axis=1)
    return Path(ratio + np.logaddexp.accumulate(terms, axis=1), steps, tilted)


def after(evidence: Evidence, path: Path, length: int, tallies: Floats) -> Evidence:
    """Return the evidence after the first `length` losses of a path.

    Args:
        evidence: Before the path.
        path: Of at least `length` losses.
        length: At least 1.
        tallies: The tally before the path and after each of its losses, (at least length + 1, 4).
    """
    start = np.zeros((len(EFFECTS), 1))
    line = evidence.height[:, None] + np.concatenate([start, np.cumsum(path.steps[:, :length], axis=1)], axis=1)
    # The last of equal lowest points: the later the start, the shorter the claim.
    lowest = line.shape[1] - 1 - np.argmin(line[:, ::-1], axis=1)
    bottom = line[np.arange(len(EFFECTS)), lowest]
    fresh = bottom <= 0
    return Evidence(
        log_sums=path.log_sums[:, length - 1],
        tilted=path.tilted[:, length - 1],
        height=line[:, -1] - np.where(fresh, bottom, 0.0),
        starts=np.where(fresh[:, None], tallies[lowest], evidence.starts),
    )
