"""Reading a file of lines block by block, however long a line is."""

from pathlib import Path

import pytest

from deploy.log import segments
from deploy.log.segments import read_block


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "BLOCK_BYTES", 100)


def blocks(path: Path) -> list[bytes]:
    found, start = [], 0
    while (block := read_block(path, start)).content:
        found.append(block.content)
        start = block.end
    return found


@pytest.mark.parametrize("length", [99, 100, 101, 399, 1599])
def test_a_line_longer_than_a_block_is_read_whole(tmp_path: Path, length: int) -> None:
    lines = [b"a" * 30 + b"\n", b"b" * length + b"\n", b"c" * 30 + b"\n"]
    (tmp_path / "file").write_bytes(b"".join(lines))
    found = blocks(tmp_path / "file")
    assert b"".join(found) == b"".join(lines)
    assert all(block.endswith(b"\n") for block in found)


def test_what_is_longer_than_any_line_is_handed_over_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 5000)
    assert b"".join(blocks(tmp_path / "file")) == b"x" * 4800  # of what is left the end may still come


def test_a_line_whose_end_has_not_come_waits(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 300)
    assert blocks(tmp_path / "file") == []
