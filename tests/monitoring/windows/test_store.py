"""The store on disk: whole whenever a process dies, past damaged files of the log, and told when damaged itself."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from flywheel.errors import IntegrityError, StackError
from monitoring.windows import index as index_module
from monitoring.windows.index import NAME as INDEX
from monitoring.windows.keys import Key
from monitoring.windows.store import BlockStore
from monitoring.windows.update import update_blocks
from tests.monitoring.windows.block_log import AT, DAY, NAME, BlockLog, Row, all_told, line, outcome, record
from tests.monitoring.windows.test_update import CHAMPION, HOUR, source, update


def some(begin: int, count: int = 20) -> list[Row]:
    return [record(number, hours=(number % 4) * 24) for number in range(begin, begin + count)]


def blocks(root: Path) -> list[dict[str, object]]:
    return all_told(BlockStore(root, NAME).series(CHAMPION))


class Died(BaseException):
    """What a process that dies does not catch."""


@pytest.mark.parametrize("at", range(1, 10))
def test_an_update_that_dies_anywhere_is_made_up_for_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    log = BlockLog(tmp_path)
    for begin in (0, 100):
        log.answered(some(begin))
        log.append("predictions", some(begin + 50, 1))  # waits for its line
        log.append("requests", [line(record(begin + 70))])  # waits for its record
        with monkeypatch.context() as patch:
            steps = _dying(patch, at)
            try:
                update(tmp_path, log)
            except Died:
                assert steps
        update(tmp_path, log)
        update(tmp_path / "once", log)
        assert blocks(tmp_path) == blocks(tmp_path / "once")
        store = BlockStore(tmp_path, NAME)
        assert {path.name for path in store.folder.iterdir()} == {INDEX, ".lock", *store.index().files}
        (tmp_path / "once" / "monitoring" / NAME / "blocks" / INDEX).unlink()


def test_there_are_eight_steps_to_die_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = BlockLog(tmp_path)
    log.answered(some(0))
    with monkeypatch.context() as patch:
        steps = _dying(patch, 0)
        update(tmp_path, log)
    assert [name for name, _ in steps] == ["write", "replace"] * 4  # a chapter, two sides that wait, the index


def test_a_full_disk_is_told_and_leaves_the_store_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = BlockLog(tmp_path)
    log.answered(some(0))
    update(tmp_path, log)
    before = blocks(tmp_path)
    log.answered(some(100))

    def write(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(index_module, "write", write)
        with pytest.raises(StackError, match="No space left on device"):
            update(tmp_path, log)
    assert blocks(tmp_path) == before
    update(tmp_path, log)
    assert _rows(tmp_path) == 40


def test_a_chapter_that_is_gone_is_told(tmp_path: Path) -> None:
    log = BlockLog(tmp_path)
    log.answered(some(0))
    update(tmp_path, log)
    store = BlockStore(tmp_path, NAME)
    (store.folder / store.index().chapters[0].file).unlink()
    with pytest.raises(IntegrityError, match="lacks a file that its index names"):
        store.series(CHAMPION)
    with pytest.raises(IntegrityError, match="lacks a file that its index names"):
        update(tmp_path, log)


def _dying(patch: pytest.MonkeyPatch, at: int) -> list[tuple[str, Path]]:
    """Die at the n-th step: in the middle of a file, or just after it has its name; 0 only notes the steps."""
    steps: list[tuple[str, Path]] = []
    replace = Path.replace

    def write(path: Path, content: bytes) -> None:
        steps.append(("write", path))
        path.write_bytes(content[: len(content) // 2] if len(steps) == at else content)
        if len(steps) == at:
            raise Died

    def renamed(path: Path, target: Path) -> Path:
        steps.append(("replace", path))
        replace(path, target)
        if len(steps) == at:
            raise Died
        return target

    patch.setattr(index_module, "write", write)
    patch.setattr(Path, "replace", renamed)
    return steps


CHILD = """
import sys
from pathlib import Path
from tests.monitoring.windows.block_log import BlockLog
from tests.monitoring.windows.test_update import update
log = BlockLog(Path(sys.argv[1]))
print("begins", flush=True)
while True:
    update(Path(sys.argv[1]), log)
"""


def test_a_killed_process_loses_and_doubles_nothing(tmp_path: Path) -> None:
    log = BlockLog(tmp_path)
    for turn in range(4):
        command = [sys.executable, "-c", textwrap.dedent(CHILD), str(tmp_path)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": ":".join(sys.path)})
        assert child.stdout is not None
        child.stdout.readline()
        seen, until = BlockStore(tmp_path, NAME).index().position.predictions, time.monotonic() + 30
        for part in range(5):
            log.answered(some(1000 * turn + 100 * part))
        while BlockStore(tmp_path, NAME).index().position.predictions == seen and time.monotonic() < until:
            pass  # so that it dies while it takes in the rest
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    update(tmp_path, log)
    update(tmp_path / "once", log)
    assert blocks(tmp_path) == blocks(tmp_path / "once")
    assert _rows(tmp_path) == 4 * 5 * 20


def test_a_damaged_file_of_the_log_is_told_and_read_once_it_is_back(tmp_path: Path) -> None:
    log = BlockLog(tmp_path)
    log.answered(some(0))
    log.answered(some(100))
    log.append("outcomes", [outcome(1.0, AT + 4 * DAY, prediction_id="p100")])
    folder = tmp_path / "log" / NAME / "predictions"
    damaged = max(folder.glob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)
    content = damaged.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])

    found = update(tmp_path, log)
    assert [(one.table, one.file) for one in found.quarantined] == [("predictions", damaged.name)]
    assert found.quarantined[0].reason
    assert _rows(tmp_path) == 20
    log.answered(some(200))
    assert len(update(tmp_path, log).quarantined) == 1
    assert _rows(tmp_path) == 40

    damaged.write_bytes(content)
    assert update(tmp_path, log).quarantined == ()
    update(tmp_path / "once", log)
    assert blocks(tmp_path) == blocks(tmp_path / "once")
    assert _rows(tmp_path) == 60


def _rows(root: Path) -> int:
    series = BlockStore(root, NAME).series(CHAMPION)
    return 0 if series is None else series.rows


def test_labels_stay_as_they_are_once_a_block_is_closed_and_late_rows_are_merged_still(tmp_path: Path) -> None:
    log = BlockLog(tmp_path)
    log.answered([record(1), record(2)])
    log.append("outcomes", [outcome(1.0, AT + HOUR, entity="e1")])
    update(tmp_path, log)
    update(tmp_path, log, AT + 30 * DAY)
    log.answered([record(3, 1)])
    log.append("outcomes", [outcome(1.0, AT + HOUR, entity="e2")])
    found = update(tmp_path, log, AT + 31 * DAY)
    series = BlockStore(tmp_path, NAME).series(CHAMPION)
    assert series is not None
    assert found.changed == {CHAMPION: (AT,)}
    assert (series.blocks[0].rows, series.blocks[0].columns["label"].rows) == (3, 1)


def test_a_store_without_a_log_is_empty(tmp_path: Path) -> None:
    found = update(tmp_path, BlockLog(tmp_path))
    store = BlockStore(tmp_path, NAME)
    assert (found.changed, store.kept(), store.series(CHAMPION)) == ({}, [], None)


def test_a_span_is_read_from_its_chapters_alone(tmp_path: Path) -> None:
    log = BlockLog(tmp_path)
    log.answered([record(day, 24 * day) for day in range(100)])
    store = BlockStore(tmp_path, NAME)
    update_blocks(store, source(log.log), AT + 100 * DAY)
    assert len(store.index().chapters) >= 4
    for chapter in store.index().chapters[:-2]:
        (store.folder / chapter.file).write_bytes(b"gone")
    series = store.series(CHAMPION, AT + 98 * DAY, AT + 99 * DAY)
    assert series is not None
    assert [block.start for block in series.blocks] == [AT + 98 * DAY]
    with pytest.raises(IntegrityError, match="Remove the folder"):
        store.series(CHAMPION)


@pytest.mark.parametrize("content", [b"", b"{", b'{"format": 2}', b'{"position": 3}'])
def test_a_damaged_index_is_told_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    log = BlockLog(tmp_path)
    log.answered([record(1)])
    update(tmp_path, log)
    (BlockStore(tmp_path, NAME).folder / INDEX).write_bytes(content)
    with pytest.raises(IntegrityError, match="Remove the folder; it is made again from the log"):
        update(tmp_path, log)


def test_versions_and_arms_are_apart(tmp_path: Path) -> None:
    log = BlockLog(tmp_path)
    rows = [record(1), record(2, arm="challenger", model_version="2"), record(3, arm="champion")]
    log.answered(rows)
    log.append("predictions", [record(1, arm="shadow", model_version="2", prediction_id="s1")])
    update(tmp_path, log)
    store = BlockStore(tmp_path, NAME)
    assert store.kept() == [Key("1", "champion"), Key("2", "challenger"), Key("2", "shadow")]
    assert [_of(store, key) for key in store.kept()] == [2, 1, 1]


def _of(store: BlockStore, key: Key) -> int:
    series = store.series(key)
    return 0 if series is None else series.rows


def test_two_updates_at_once_wait_for_each_other(tmp_path: Path) -> None:
    log = BlockLog(tmp_path)
    log.answered(some(0))
    store = BlockStore(tmp_path, NAME)
    with store.alone():
        command = [sys.executable, "-c", textwrap.dedent(CHILD), str(tmp_path)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": ":".join(sys.path)})
        assert child.stdout is not None
        child.stdout.readline()
        assert store.kept() == []
    until = time.monotonic() + 30
    while not store.kept() and time.monotonic() < until:
        pass
    child.kill()
    child.wait()
    child.stdout.close()
    assert store.kept() == [CHAMPION]
