from pathlib import Path

import numpy as np
import pytest

from flywheel.errors import IntegrityError
from flywheel.profiling.profile import profile_rows
from flywheel.profiling.series_file import read_series, series_bytes, series_from
from tests.flywheel.profiling.profiled import COLUMNS, rows


def test_what_was_written_is_read_again() -> None:
    series = profile_rows(rows(5), COLUMNS, "at")
    again = series_from(series_bytes(series), "it")

    assert (again.scale, again.every, again.rows) == (series.scale, series.every, series.rows)
    for one, other in zip(series.blocks, again.blocks, strict=True):
        assert (one.start, one.end, one.columns.keys()) == (other.start, other.end, other.columns.keys())
        assert np.array_equal(one.numbers["x"].counts, other.numbers["x"].counts)
        assert np.array_equal(one.categories["colour"].counts, other.categories["colour"].counts)
        assert one.together is not None
        assert other.together is not None
        assert np.array_equal(one.together.products, other.together.products)
        assert one.columns["x"].quantiles([0.1, 0.9]).tolist() == other.columns["x"].quantiles([0.1, 0.9]).tolist()
        assert one.columns["colour"].categories == other.columns["colour"].categories or (
            one.columns["colour"].cardinality == pytest.approx(other.columns["colour"].cardinality)
        )


def test_a_damaged_file_is_told_whatever_byte_it_is(tmp_path: Path) -> None:
    content = series_bytes(profile_rows(rows(2), COLUMNS, "at"))
    path = tmp_path / "blocks"
    for place in range(0, len(content), len(content) // 40):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(IntegrityError, match="Profile"):
            read_series(path)


def test_a_package_holds_no_value_seen_less_than_twenty_times() -> None:
    frame = rows(10)
    names = frame["colour"].to_list()
    names[:19] = ["mauve"] * 19
    frame = frame.with_columns(colour=np.array(names))
    content = series_from(series_bytes(profile_rows(frame, COLUMNS, "at").published()), "it")

    assert "mauve" not in content.merged().columns["colour"].categories.counts  # type: ignore[union-attr]
    assert all("mauve" not in (block.columns["colour"].categories or {"mauve"}).counts for block in content.blocks)  # type: ignore[union-attr]
