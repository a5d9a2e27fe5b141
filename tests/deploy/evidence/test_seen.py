"""A set of names that grows look by look."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from deploy.evidence.seen import Seen

NAMES = st.lists(st.integers(0, 60).map(str), max_size=12)


@given(looks=st.lists(NAMES, max_size=20), asked=NAMES)
def test_it_has_what_was_added_and_nothing_else(looks: list[list[str]], asked: list[str]) -> None:
    seen = Seen()
    for names in looks:
        seen = seen.with_names(pl.Series(names, dtype=pl.String))
    known = {name for names in looks for name in names}
    assert seen.has(pl.Series(asked, dtype=pl.String)).to_list() == [name in known for name in asked]
