"""Time travel: a source that looks into the future of its rows is caught, an honest one is not."""

import textwrap
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from flywheel.errors import DataError
from flywheel.usecase import Data, parse_usecase
from training.sources.rows import load_rows
from training.sources.time_travel import check_no_future, may_peek

NOW = datetime(2024, 3, 1)
HEAD = """
    from datetime import datetime, timedelta
    import polars as pl

    def load(as_of):
        n = 600
        rows = pl.DataFrame({
            "id": [f"k{i}" for i in range(n)],
            "at": [datetime(2024, 1, 1) + timedelta(hours=i // 2) for i in range(n)],
            "x": [float(i * 7919 % 101) for i in range(n)],
            "word": ["ab"[i % 2] for i in range(n)],
            "y": [(i * 31 % 7) % 2 for i in range(n)],
        }).filter(pl.col("at") < as_of)
"""


def case(folder: Path, body: str, *, head: str = HEAD, entity: str | None = "id") -> Data:
    (folder / "source.py").write_text(textwrap.dedent(head) + textwrap.indent(textwrap.dedent(body), "    "))
    data: dict[str, Any] = {
        "source": {"kind": "python", "path": "source.py"},
        "event_time": "at",
        "label": {"column": "y"},
        "entity": entity,
        "exclude": [] if entity else ["id"],
    }
    return parse_usecase({"name": "travel", "data": data}, "test").data


def travel(folder: Path, data: Data) -> str | None:
    return check_no_future(load_rows(data, folder, NOW), data, folder)


HONEST = [
    "return rows",
    "return rows.sample(fraction=1, shuffle=True, seed=len(rows))",
    "return rows.with_columns(before=pl.col('x').shift(1))",
    "return rows.with_columns(mean=pl.col('x').cum_sum() / pl.int_range(1, pl.len() + 1))",
    "return rows.with_columns(noise=pl.col('x') * (1 + 1e-13 * pl.len()))",
    "return rows.filter((pl.col('id') != 'k7') | (as_of > datetime(2024, 2, 1)))",
]
PEEKING = {
    "return rows.with_columns(mean=pl.col('x').mean())": "Input 'mean' sees the future: in the row of id k",
    "return rows.with_columns(next=pl.col('x').shift(-1))": "it is None as of 2024-01-07T06:00:00, but",
    "return rows.with_columns(rank=pl.col('x').rank())": "Input 'rank' sees the future",
    "return rows.with_columns(often=pl.len().over('word'))": "Input 'often' sees the future",
    "return rows.with_columns(last=pl.col('word').shift(-2))": "Input 'last' sees the future",
    "return rows.with_columns(late=pl.col('x').shift(-1) > 50)": "Input 'late' sees the future",
    "return rows.unique('x', keep='last')": r"The row of id k\d+, at 2024.* and gone when loaded later",
}


@pytest.mark.parametrize("entity", ["id", None])
@pytest.mark.parametrize("body", HONEST)
def test_an_honest_source_passes(tmp_path: Path, body: str, entity: str | None) -> None:
    assert travel(tmp_path, case(tmp_path, body, entity=entity)) is None


@pytest.mark.parametrize("body", PEEKING)
def test_a_source_that_peeks_is_caught_with_its_column_and_a_row(tmp_path: Path, body: str) -> None:
    with pytest.raises(DataError, match=PEEKING[body]) as caught:
        travel(tmp_path, case(tmp_path, body))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("body", [body for body in PEEKING if "with_columns" in body])
def test_a_peek_is_caught_without_an_entity_too(tmp_path: Path, body: str) -> None:
    with pytest.raises(DataError, match=r"sees the future: in the row of at 2024"):
        travel(tmp_path, case(tmp_path, body, entity=None))


def test_a_source_that_ignores_as_of_gets_a_warning(tmp_path: Path) -> None:
    data = case(tmp_path, "return rows", head=HEAD.replace('.filter(pl.col("at") < as_of)', ""))
    warning = travel(tmp_path, data)
    assert warning is not None
    assert "returned 300 rows at or after as_of 2024-01-07T06:00:00. Leave later rows out" in warning


def test_a_label_that_only_later_rows_have_does_not_disturb(tmp_path: Path) -> None:
    body = "return rows.with_columns(y=pl.when(pl.col('at') > datetime(2024, 1, 10)).then(pl.col('y')))"
    data = case(tmp_path, body)
    data = data.model_copy(update={"label": data.label.model_copy(update={"max_missing": 1.0})})
    assert travel(tmp_path, data) is None


def test_a_joined_python_source_that_peeks_is_caught(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(textwrap.dedent(HEAD) + "    return rows.select('at', v=pl.col('x').mean())\n")
    plain = case(tmp_path, "return rows").model_dump()
    plain["source"] = {"kind": "parquet", "path": "rows.parquet"}
    plain["joins"] = [{"source": {"kind": "python", "path": "other.py"}, "by": [], "time": "at"}]
    data = parse_usecase({"name": "travel", "data": plain}, "test").data
    load_rows(case(tmp_path, "return rows"), tmp_path, NOW).write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(DataError, match="Input 'v' sees the future"):
        travel(tmp_path, data)


def test_files_alone_cannot_peek(tmp_path: Path) -> None:
    plain = case(tmp_path, "return rows").model_dump()
    plain["source"] = {"kind": "parquet", "path": "rows.parquet"}
    data = parse_usecase({"name": "travel", "data": plain}, "test").data
    assert not may_peek(data)
    load_rows(case(tmp_path, "return rows"), tmp_path, NOW).write_parquet(tmp_path / "rows.parquet")
    rows = load_rows(data, tmp_path, NOW)
    (tmp_path / "rows.parquet").unlink()
    assert check_no_future(rows, data, tmp_path) is None
