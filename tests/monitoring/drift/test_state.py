"""A watch that is written down goes on as if it had not been."""

import pytest

from flywheel.errors import IntegrityError
from flywheel.monitor_spec import Drift
from monitoring.drift.decision import decide
from monitoring.drift.state import watch_bytes, watch_from
from monitoring.drift.watch import Watch, learn
from tests.monitoring.drift.rows import Rows

COUNTRY = Drift(country="US")


def learned(rows: Rows) -> Watch:
    return learn(rows.reference()[1], COUNTRY)


def test_a_watch_read_again_decides_the_same() -> None:
    rows = Rows(1)
    _, reference = rows.reference()
    blocks = rows.live(reference, rows.days(60, 20)).blocks
    whole, cut = learn(reference, COUNTRY), learn(reference, COUNTRY)
    wanted = [whole.take(block) for block in blocks]
    first = [cut.take(block) for block in blocks[:9]]
    again = watch_from(watch_bytes(cut), "state")
    found = [*first, *(again.take(block) for block in blocks[9:])]
    assert decide(again, found).body() == decide(whole, wanted).body()


def test_the_same_watch_has_the_same_bytes() -> None:
    content = watch_bytes(learned(Rows(2, rows=30)))
    assert watch_bytes(watch_from(content, "state")) == content


def test_a_block_more_makes_it_no_larger() -> None:
    rows = Rows(3, rows=30)
    _, reference = rows.reference()
    watch = learn(reference, COUNTRY)
    before = len(watch_bytes(watch))
    for block in rows.live(reference, rows.days(60, 30)).blocks:
        watch.take(block)
    assert len(watch_bytes(watch)) <= before + 32  # the newest block is named


@pytest.mark.parametrize("place", [3, 40, 2000, -1])
def test_a_damaged_state_is_told(place: int) -> None:
    content = bytearray(watch_bytes(learned(Rows(4, rows=30))))
    content[place] ^= 1
    with pytest.raises(IntegrityError, match="Learn the reference again"):
        watch_from(bytes(content), "state")
