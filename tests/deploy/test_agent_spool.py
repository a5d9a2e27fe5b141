"""The spool: complete lines, segments that tell by their lock whether they are finished."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.agent.limits import Limits
from deploy.agent.spool import Spool
from deploy.segments import is_finished, read_block
from flywheel.errors import StackError


@pytest.fixture
def file_size_limit() -> Iterator[None]:
    """Lets no file of this process grow beyond 1,000 bytes, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


def test_a_segment_is_finished_when_its_writer_is_done(tmp_path: Path) -> None:
    with Spool(tmp_path, b"{}", Limits()) as spool:
        spool.append(b"1\n")
        (segment,) = segments(tmp_path)
        assert not is_finished(segment)
    assert is_finished(segment)
    assert segment.read_bytes() == b"1\n"


def test_segments_follow_each_other_by_size_and_by_age(tmp_path: Path) -> None:
    now = 0.0
    with Spool(tmp_path, b"{}", Limits(segment_bytes=4, segment_seconds=10), clock=lambda: now) as spool:
        spool.append(b"12345\n")
        spool.append(b"6\n")
        now = 11.0
        spool.append(b"7\n")
        assert [path.read_bytes() for path in segments(tmp_path)] == [b"12345\n", b"6\n", b"7\n"]
        assert [is_finished(path) for path in segments(tmp_path)] == [True, True, False]


@pytest.mark.usefixtures("file_size_limit")
def test_a_line_that_the_disk_took_half_tears_no_later_line(tmp_path: Path) -> None:
    with Spool(tmp_path, b"{}", Limits()) as spool:
        spool.append(b"a" * 900 + b"\n")
        with pytest.raises(OSError, match="only 99 of"):
            spool.append(b"b" * 200 + b"\n")
        spool.append(b"c\n")
    first, second = segments(tmp_path)
    assert read_block(first, 0).content == b"a" * 900 + b"\n"
    assert second.read_bytes() == b"c\n"


def test_a_spool_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StackError, match="cannot be written"):
        Spool(tmp_path / "file" / "spool", b"{}", Limits())
