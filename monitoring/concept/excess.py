"""Loss beyond what the scores let one expect: what is left when the inputs' share in a change is taken out.

Days of storms lose more with the same model and the same world: that is no concept drift. A row's loss minus its
expectation, by scores calibrated on the reference, is about 0 on average as long as scores mean what they meant,
whatever inputs come; a lasting rise or fall of it is a change of what inputs mean for outcomes.
"""

import numpy as np

from flywheel.statistics import SMALLEST_PROBABILITY, Floats, row_losses
from monitoring.performance.calibration import Calibration


def excess_losses(label: Floats, probability: Floats, calibration: Calibration) -> Floats:
    """Return each row's log-loss minus the log-loss to be expected of it, (n_rows,), in nats.

    Args:
        label: 0 or 1, (n_rows,).
        probability: Of 1, as answered, (n_rows,).
        calibration: Of such answers on the reference: fixed, or it would learn the very change that is looked for.
    """
    share = calibration(probability)
    safe = np.clip(probability, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    expected = -(share * np.log(safe) + (1 - share) * np.log1p(-safe))
    return np.asarray(row_losses("binary", label, probability) - expected)
