"""Where an agent keeps the outcomes that clients report, until they are shipped: a spool like that of predictions.

A line is one outcome: the fields of `flywheel.records.OUTCOMES`, `use_case`, and `outcome_id`, by which the same
outcome is known that another agent, or this one before its start, has taken as well.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson


class OutcomeSpool:
    """Writes outcomes through a spool's `append`."""

    def __init__(self, use_case: str, append: Callable[[bytes], None]) -> None:
        self._use_case = use_case
        self._append = append

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write outcomes in one write; they then survive this process.

        Raises:
            OSError: They could not be written.
        """
        named = {"use_case": self._use_case}
        self._append(b"".join(orjson.dumps(named | dict(row), option=orjson.OPT_APPEND_NEWLINE) for row in rows))
