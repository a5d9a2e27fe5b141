"""One figure of one column, compared with the last good run: the value that anomalies are made of."""

from dataclasses import dataclass

from training.checks.evidence import Effect
from training.checks.finding import Rule

# The least effect that counts, each in its own unit: standard deviations of a normal column, its variance, shares of
# rows, correlation. Smaller changes may be real, but no model suffers from them.
LEAST: dict[Rule, float] = {
    "shift": 0.25,
    "spread": 0.35,
    "missing rate": 0.05,
    "category shift": 0.1,
    "new category": 0.02,
    "correlation": 0.3,
}


@dataclass(frozen=True)
class Moved:
    """A figure's comparison; `what` is the category or the other column that it is about."""

    column: str
    rule: Rule
    effect: Effect
    what: str = ""
