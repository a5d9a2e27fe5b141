"""How many answers of some blocks have their outcome, may get it still, or never will."""

from datetime import datetime, timedelta
from operator import itemgetter

from flywheel.profiling.series import Series
from flywheel.profiling.watched import LABEL
from monitoring.windows.keys import Key, by_key
from monitoring.windows.window import Counts, Window, count


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


def counts_by_key(window: Window, label_delay: timedelta) -> dict[Key, Counts]:
    """Count the answers of a window that was read by hand, by version and arm."""
    due_before = window.span.as_of - label_delay
    return {key: count(rows, rows.height, due_before) for key, rows in sorted(by_key(window.rows), key=itemgetter(0))}
