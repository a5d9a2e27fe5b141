"""CSV requests: read by the contract's types, and never worse than a refusal."""

import contextlib
import csv
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.agent.refusal import RefusalError
from deploy.agent.rest.tables import CsvReader
from flywheel.contract import Column
from flywheel.errors import ContractError
from tests.deploy.tiny_contract import CONTRACT

READER = CsvReader(CONTRACT)
HEADER = b"at,chance,count,gap,mood,key\n"
# What a CSV can say: an empty text is a missing one, and a lone carriage return in quotes is a matter of dialect.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), min_size=1, max_size=5)


def test_each_value_has_the_type_of_its_column() -> None:
    (row,) = READER.rows(HEADER + b'2013-01-01T05:00:00Z,1e-3,3,,"a, ""b""",007\n', 8)
    assert row == {
        "at": "2013-01-01T05:00:00Z",
        "chance": 0.001,
        "count": 3,
        "gap": None,
        "mood": 'a, "b"',
        "key": "007",
    }


def test_a_byte_order_mark_windows_lines_and_blank_lines_are_no_data() -> None:
    rows = READER.rows(b"\xef\xbb\xbfcount,chance\r\n1,2\r\n\r\n3.0,4\r\n", 8)
    assert rows == [{"count": 1, "chance": 2.0}, {"count": 3.0, "chance": 4.0}]


def test_truth_is_read_only_in_a_column_of_truth() -> None:
    contract = CONTRACT.model_copy(update={"columns": (Column(name="late", type="boolean", nullable=True),)})
    rows = CsvReader(contract).rows(b"late,mood\nTrue,true\nfalse,x\n1,y\n", 8)
    assert [row["late"] for row in rows] == [True, False, "1"]
    assert rows[0]["mood"] == "true"


@pytest.mark.parametrize("value", [b"1.5", b"x", b"1_000", b"0x1", b"9" * 5000, b"nan", b"1e400", "٣".encode()])
def test_what_is_no_whole_number_is_refused_by_the_contract(value: bytes) -> None:
    (row,) = READER.rows(HEADER + b"2013-01-01,0.5," + value + b",,calm,a\n", 8)
    with pytest.raises(ContractError) as caught:
        CONTRACT.validate_row(row)
    assert caught.value.field == "count"


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"", "form"),
        (HEADER, "form"),
        (b"\n\n", "form"),
        (b"a,a\n1,2\n", "form"),
        (b"a,\n1,2\n", "form"),
        (b"a,b\n1\n", "form"),
        (b'a\n"1\n', "form"),
        (b'a\n"1"2\n', "form"),
        (b"a\n\xff\n", "form"),
        (b"a\n" + b"x" * 200_000, "form"),
        (b"a\n1\n2\n3\n", "size"),
    ],
)
def test_a_body_that_is_no_table_is_refused_by_rule(body: bytes, rule: str) -> None:
    with pytest.raises(RefusalError) as caught:
        READER.rows(body, max_rows=2)
    assert caught.value.rule == rule


@settings(deadline=None)
@given(rows=st.lists(st.tuples(st.integers(), st.floats(allow_nan=False), TEXT), min_size=1, max_size=8))
def test_what_a_writer_of_csv_wrote_is_what_is_read(rows: list[tuple[int, float, str]]) -> None:
    written = io.StringIO(newline="")
    csv.writer(written).writerows([("count", "chance", "mood"), *rows])
    read: list[Any] = READER.rows(written.getvalue().encode(), 8)
    assert [(row["chance"], row["mood"]) for row in read] == [(chance, mood) for _, chance, mood in rows]
    exact = [(row["count"], count) for row, (count, _, _) in zip(read, rows, strict=True) if abs(count) < 10**30]
    assert all(found == count for found, count in exact)


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=100) | st.text(st.sampled_from('at,\n\r"1.x\x00'), max_size=60).map(str.encode))
def test_no_bytes_whatever_are_worse_than_refused(body: bytes) -> None:
    with contextlib.suppress(RefusalError):
        assert 1 <= len(READER.rows(body, 8)) <= 8
