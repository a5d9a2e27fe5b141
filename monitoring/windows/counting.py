"""How many answers of some blocks have their outcome, may get it still, or never will."""

from datetime import datetime, timedelta

from flywheel.profiling.series import Series
from flywheel.profiling.watched import LABEL
from monitoring.windows.window import Counts


def counts_of(series: Series, as_of: datetime, label_delay: timedelta) -> Counts:
    """Count the answers of a version and arm; an answer's block is what its outcome's due time goes by.

    Args:
        series: Blocks of the store.
        as_of: Naive UTC.
        label_delay: How long after its event an outcome is due.
    """
    answers = labelled = censored = 0
    for block in series.blocks:
        known = block.columns[LABEL].rows if LABEL in block.columns else 0
        answers, labelled = answers + block.rows, labelled + known
        censored += block.rows - known if block.end + label_delay <= as_of else 0
    return Counts(answers, answers, labelled, answers - labelled - censored, censored)
