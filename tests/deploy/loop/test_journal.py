"""The journal on a disk that refuses, tears and forgets: a look is there whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from deploy.loop.journal import Entry, Journal
from flywheel.errors import TransientError

LOOK = Entry(0, {"step": 10, "metrics": {}}, {"champion": {"requests": 7}})


def refuse(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_look_that_the_disk_refused_is_not_read_again_for_the_next_one_covers_it(tmp_path: Path) -> None:
    Journal(tmp_path).append("r", LOOK)
    with pytest.raises(TransientError, match="No space left on device"):
        Journal(tmp_path, refuse).append("r", LOOK)
    assert Journal(tmp_path).read("r") == [LOOK]
    Journal(tmp_path).append("r", LOOK)
    assert Journal(tmp_path).read("r") == [LOOK, LOOK]


def test_a_torn_line_is_cut_off_by_the_next_look(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append("r", LOOK)
    whole = journal.size("r")
    journal.append("r", LOOK)
    os.truncate(tmp_path / "r.jsonl", whole + 5)
    assert journal.read("r") == [LOOK]
    journal.append("r", LOOK)
    assert journal.read("r") == [LOOK, LOOK]


def test_a_folder_that_cannot_be_made_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TransientError, match="make room"):
        Journal(tmp_path / "file" / "rollouts").append("r", LOOK)
    with pytest.raises(TransientError, match="make room"):
        Journal(tmp_path / "file" / "rollouts").send_back("r", "It fails.")


def test_of_rollouts_that_are_over_nothing_is_kept(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for rollout in ("r", "s"):
        journal.begin(rollout, {})
        journal.append(rollout, LOOK)
        journal.send_back(rollout, "It fails.")
    journal.keep_only({"s"})
    assert (journal.read("r"), journal.sent_back("r")) == ([], None)
    assert (journal.read("s"), journal.sent_back("s")) == ([LOOK], "It fails.")
    assert set(journal.open_ones()) == {"s"}
