"""What a look leaves for the next: kept whole or not at all, and told again no longer than it holds."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.look.kept import EPOCH, Kept, holds, keep, made_of, next_moment, path_of, read_kept

AS_OF = datetime(2013, 5, 1, 12)
KEPT = Kept(
    looked=datetime(2026, 1, 1, tzinfo=UTC),
    as_of=AS_OF,
    until=AS_OF + timedelta(hours=12),
    made_of="a",
    seq=7,
    since=None,
    decided=True,
    body={"drift": {}},
)
LENGTHS = st.sampled_from([timedelta(hours=1), timedelta(days=1), timedelta(days=7)])
TIMES = st.datetimes(datetime(2013, 1, 1), datetime(2013, 12, 31))
DELAYS = st.integers(0, 72).map(lambda hours: timedelta(hours=hours))


def test_what_is_kept_is_read_as_it_was(tmp_path: Path) -> None:
    path = path_of(tmp_path, "flights")
    keep(path, KEPT)
    assert read_kept(path) == KEPT
    keep(path, replace(KEPT, until=None, since=AS_OF))
    assert read_kept(path) == replace(KEPT, until=None, since=AS_OF)


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"{}", b'{"looked": 3}', b"\xff\xfe"])
def test_what_cannot_be_read_is_as_if_there_were_none(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "look.json"
    if content is not None:
        path.write_bytes(content)
    assert read_kept(path) is None


def test_it_holds_from_its_time_until_it_ends_and_for_the_same_question_alone() -> None:
    def held(**changes: object) -> bool:
        asked: dict[str, object] = {"as_of": AS_OF, "since": None, "decides": True}
        return holds(KEPT, **{**asked, **changes})  # type: ignore[arg-type]

    assert held()
    assert held(as_of=AS_OF + timedelta(hours=11))
    assert held(decides=False)
    assert not held(as_of=AS_OF - timedelta(seconds=1))
    assert not held(as_of=AS_OF + timedelta(hours=12))
    assert not held(since=AS_OF - timedelta(days=30))
    assert not holds(replace(KEPT, decided=False), as_of=AS_OF, since=None, decides=True)
    assert holds(replace(KEPT, until=None), as_of=AS_OF + timedelta(days=900), since=None, decides=True)


@pytest.mark.parametrize("change", ["row", "package", "use case", "key"])
def test_any_file_that_a_look_reads_changes_what_it_is_made_of(tmp_path: Path, change: str) -> None:
    file = tmp_path / "usecase.yaml"
    commit = tmp_path / "log" / "flights" / "outcomes" / "_delta_log" / "00000000000000000000.json"
    package = tmp_path / "packages" / "flights" / "1-abc" / "MLmodel"
    key = tmp_path / "signing.pub"
    for path in (file, commit, package, key):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("as it was")
    before = made_of(tmp_path, "flights", file)
    assert made_of(tmp_path, "flights", file) == before
    if change == "row":
        commit.with_name("00000000000000000001.json").write_text("more")
    else:
        {"package": package, "use case": file, "key": key}[change].write_text("other")
    assert made_of(tmp_path, "flights", file) != before


@given(TIMES, TIMES, LENGTHS, DELAYS)
def test_until_the_next_moment_the_same_blocks_are_over(
    as_of: datetime, newest: datetime, length: timedelta, delay: timedelta
) -> None:
    def over(moment: datetime) -> int:
        """Count the blocks with rows, up to that of the newest row, whose end and delay have passed."""
        return int(min((moment - delay - EPOCH) // length, (newest - EPOCH) // length + 1))

    found = next_moment(as_of, newest, [(length, EPOCH, delay)])
    if found is None:
        assert over(as_of) == over(datetime(2030, 1, 1))
    else:
        assert found > as_of
        assert over(found - timedelta(microseconds=1)) == over(as_of)
        assert over(found) == over(as_of) + 1


def test_of_several_grids_the_first_moment_counts() -> None:
    grids = [(timedelta(days=7), EPOCH, timedelta(0)), (timedelta(days=1), EPOCH, timedelta(hours=3))]
    assert next_moment(AS_OF, AS_OF, grids) == datetime(2013, 5, 2)  # a Thursday, as the epoch's first day
    assert next_moment(AS_OF, AS_OF, grids[1:]) == datetime(2013, 5, 2, 3)
