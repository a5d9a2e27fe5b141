"""Whether the arms got the units that the plan gives them; valid at every look.

Lindon & Malek, arXiv 2011.03567 (NeurIPS 2022), section 2, the sequential multinomial test: with shares θ under the
null and a Dirichlet(k θ) mixture as the alternative, the ratio of the two likelihoods of the assignments so far is a
nonnegative martingale that starts at 1 when the shares are θ, so that by Ville's inequality it ever reaches 1/α with a
probability of at most α.
"""

import math
from collections.abc import Mapping

# k: how close to the plan's shares the alternative looks. Shares from Dirichlet(1,000 θ) lie within some 1.6 points of
# one half. With alpha 1 %, 51, 52 and 55 to the rest instead of 50 are found at a median of 30,000, 7,600 and 1,600
# units; with k of 10 at 42,200, 9,100 and 1,400, with 10,000 at 35,100, 11,600 and 3,600.
CONCENTRATION = 1_000.0


def log_evidence(units: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """Return the logarithm of the e-value against "units are assigned by these shares".

    Args:
        units: Units by arm.
        shares: Percent by arm; they sum to 100, and none is 0.
    """
    total = sum(units.get(arm, 0) for arm in shares)
    found = math.lgamma(CONCENTRATION) - math.lgamma(CONCENTRATION + total)
    for arm, percent in shares.items():
        count, share = units.get(arm, 0), percent / 100
        found += math.lgamma(CONCENTRATION * share + count) - math.lgamma(CONCENTRATION * share)
        found -= count * math.log(share)
    return found
