"""Gate: does the version reach the least metrics that policy and use case ask for?"""

import math
from collections.abc import Mapping

from flywheel.limits import Limits
from registry.gates.evidence import Measurement
from registry.gates.gate import Candidate, UnmeasurableError, judged
from registry.gates.sample import read_evaluation
from registry.gates.scores import sample_scores


class Metrics:
    """Computes metrics anew from the package's held-out rows; those that these cannot tell come from evaluation.json.

    The number is the margin of the limit that is nearest to being missed, or is missed by most.
    """

    name = "metrics"
    title = "Minimum metrics"

    def measure(self, candidate: Candidate, limits: Limits) -> Measurement:
        """Hold each limited metric to its limits."""
        if not limits.minimum and not limits.maximum:
            return judged(True, "Neither the policy nor the use case limits a metric.")
        recomputed = sample_scores(candidate.sample) if candidate.sample else {}
        recorded = _recorded(candidate)
        known = {**recorded, **recomputed}
        names = sorted({*limits.minimum, *limits.maximum})
        unknown = [name for name in names if name not in known]
        if unknown:
            there = ", ".join(sorted(known)) or "none"
            raise UnmeasurableError(f"Metric '{unknown[0]}' is not known of this version. Known: {there}.")
        clauses, margins = [], {}
        for name in names:
            source = f"{len(candidate.sample.label)} held-out rows" if candidate.sample else ""
            where = f"computed again on {source}" if name in recomputed else "as training recorded it"
            clauses.append(f"{name} is {known[name]:.4g} ({_wish(name, limits)}; {where})")
            margins[name] = _margin(name, known[name], limits)
        nearest = min(margins, key=lambda name: margins[name])
        passed = margins[nearest] >= 0
        return judged(
            passed,
            f"{'All limits are kept' if passed else 'A limit is missed'}: {'; '.join(clauses)}.",
            value=round(known[nearest], 6),
            limit=limits.minimum.get(nearest, limits.maximum.get(nearest)),
            unit=nearest,
            details={
                "values": {name: known[name] for name in names},
                "computed_again": sorted(name for name in names if name in recomputed),
                "recorded": {name: recorded[name] for name in names if name in recorded},
            },
        )


def _recorded(candidate: Candidate) -> dict[str, float]:
    scores = read_evaluation(candidate.folder).get("scores") or {}
    values = {name: score.get("value") for name, score in scores.items() if isinstance(score, Mapping)}
    return {name: float(value) for name, value in values.items() if isinstance(value, (int, float))}


def _wish(name: str, limits: Limits) -> str:
    wishes = [f"at least {limits.minimum[name]:g}"] if name in limits.minimum else []
    wishes += [f"at most {limits.maximum[name]:g}"] if name in limits.maximum else []
    return " and ".join(wishes)


def _margin(name: str, value: float, limits: Limits) -> float:
    """Return by how much a metric keeps its limits, as a share of the limit's size; negative when one is missed."""
    if not math.isfinite(value):
        return -math.inf
    margins = [(value - limits.minimum[name]) / _size(limits.minimum[name])] if name in limits.minimum else []
    margins += [(limits.maximum[name] - value) / _size(limits.maximum[name])] if name in limits.maximum else []
    return min(margins)


def _size(limit: float) -> float:
    return abs(limit) or 1.0
