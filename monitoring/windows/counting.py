"""How many answers of each version and arm have their outcome, may get it still, or never will."""

from datetime import timedelta
from operator import itemgetter

from monitoring.windows.keys import Key, by_key
from monitoring.windows.window import Counts, Window, count


def counts_by_key(window: Window, label_delay: timedelta) -> dict[Key, Counts]:
    """Count the answers of a window by version and arm; an outcome is due `label_delay` after its event."""
    due_before = window.span.as_of - label_delay
    return {key: count(rows, rows.height, due_before) for key, rows in sorted(by_key(window.rows), key=itemgetter(0))}
