"""The evidence that earlier looks have found, block by block: a picture of the newest look shows it before its own."""

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from flywheel.events import EVENTS, EventKind, from_row

LOOKS = 60  # the newest; a look a day, each with its newest blocks, fills two months
Trail = Mapping[str, tuple[tuple[datetime, float], ...]]


def evidence_before(connection: sa.Connection, use_case: str) -> Trail:
    """Return start and e-value of the blocks that the newest looks have judged, by version, in order of time.

    Of a block that was judged several times the newest judgement counts.
    """
    query = sa.select(*EVENTS.columns).where(EVENTS.c.subject == use_case, EVENTS.c.kind == str(EventKind.MONITOR_LOOK))
    rows = connection.execute(query.order_by(EVENTS.c.seq.desc()).limit(LOOKS)).mappings()
    found: dict[str, dict[datetime, float]] = {}
    for event in reversed([from_row(row) for row in rows]):
        for version, decision in event.body.get("drift", {}).items():
            blocks = found.setdefault(version, {})
            blocks.update({datetime.fromisoformat(one["start"]): float(one["e_value"]) for one in decision["blocks"]})
    return {version: tuple(sorted(blocks.items())) for version, blocks in found.items()}
