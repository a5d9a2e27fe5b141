"""The spool: complete lines, segments that tell by their lock whether they are finished."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.agent.limits import Limits
from deploy.agent.spool import Spool
from deploy.log.segments import is_finished, read_block
from flywheel.errors import StackError

# In a process of its own: the limit holds for all its files, and the test run's own output may be one.
ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from deploy.agent.limits import Limits
from deploy.agent.spool import Spool

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with Spool(Path(sys.argv[1]), b"{}", Limits()) as spool:
    spool.append(b"a" * 900 + b"\\n")
    try:
        spool.append(b"b" * 200 + b"\\n")
    except OSError as fault:
        print(fault)
    spool.append(b"c\\n")
"""


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


def test_a_line_that_the_disk_took_half_tears_no_later_line(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ON_A_FULL_DISK, str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "only 99 of" in done.stdout
    first, second = segments(tmp_path)
    assert read_block(first, 0).content == b"a" * 900 + b"\n"
    assert second.read_bytes() == b"c\n"


def test_a_spool_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StackError, match="cannot be written"):
        Spool(tmp_path / "file" / "spool", b"{}", Limits())


def test_the_reserve_of_the_disk_is_left_alone_and_used_again_when_there_is_room(tmp_path: Path) -> None:
    now, free = 0.0, 1500
    limits = Limits(reserve_bytes=1000)
    with Spool(tmp_path, b"{}", limits, clock=lambda: now, free=lambda _: free) as spool:
        spool.append(b"a" * 399 + b"\n")
        free = 1100
        now = 1.0
        with pytest.raises(OSError, match="reserve"):
            spool.append(b"b" * 399 + b"\n")
        free = 5000
        spool.append(b"c\n")
        (segment,) = segments(tmp_path)
        assert segment.read_bytes() == b"a" * 399 + b"\nc\n"


def test_the_disk_is_not_asked_at_each_write(tmp_path: Path) -> None:
    asked = 0

    def free(folder: Path) -> int:
        nonlocal asked
        asked += 1
        return 1 << 40

    with Spool(tmp_path, b"{}", Limits(reserve_bytes=1), clock=lambda: 7.0, free=free) as spool:
        for _ in range(1000):
            spool.append(b"line\n")
    assert asked == 1


def test_a_synced_line_is_on_the_disk_before_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    real = os.fdatasync

    def sync(descriptor: int) -> None:
        real(descriptor)
        synced.append(segments(tmp_path)[0].read_bytes())

    monkeypatch.setattr(os, "fdatasync", sync)
    with Spool(tmp_path, b"{}", Limits(synced=True)) as spool:
        spool.append(b"1\n")
        spool.append(b"2\n")
    assert synced == [b"1\n", b"1\n2\n"]


def test_a_synced_spool_syncs_the_names_of_its_contract_and_segments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[Path, int]] = []
    monkeypatch.setattr("deploy.agent.spool.sync", lambda path: synced.append((path, len(segments(tmp_path / "s")))))
    with Spool(tmp_path / "s", b"{}", Limits(synced=True, segment_bytes=1)) as spool:
        spool.append(b"1\n")
        spool.append(b"2\n")
    assert synced == [(tmp_path / "s", 0), (tmp_path, 0), (tmp_path / "s", 1), (tmp_path / "s", 2)]


def test_a_segment_that_gets_no_name_costs_one_append_and_the_one_before_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, target: Path) -> None:
        raise FileNotFoundError(2, "cleared away")

    with Spool(tmp_path, b"{}", Limits(segment_bytes=2)) as spool:
        spool.append(b"1\n")
        monkeypatch.setattr(Path, "rename", fail)
        with pytest.raises(FileNotFoundError):
            spool.append(b"2\n")
        monkeypatch.undo()
        spool.append(b"3\n")
        first, second = segments(tmp_path)
        assert (first.read_bytes(), second.read_bytes()) == (b"1\n", b"3\n")
        assert is_finished(first)
