"""Where a version comes from: a commit that says whether it is the whole truth, digests, versions."""

import subprocess
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from training.packaging import lineage
from training.packaging.lineage import file_digest, git_state, package_versions, span, text_digest


def test_a_folder_has_a_digest_of_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1")
    first = file_digest(tmp_path)
    (tmp_path / "a.csv").rename(tmp_path / "b.csv")
    assert file_digest(tmp_path) != first
    assert file_digest(tmp_path / "b.csv") == text_digest("1")


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


def test_the_commit_is_told_with_what_changed_since(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init")
    assert git_state(tmp_path).commit is None
    assert git_state(tmp_path).dirty is None
    (tmp_path / "file").write_text("one\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    clean = git_state(tmp_path)
    assert clean.commit is not None
    assert len(clean.commit) == 40
    assert (clean.dirty, clean.diff, clean.diff_digest) == (False, "", "")
    (tmp_path / "file").write_text("two\n")
    (tmp_path / "new.py").write_text("x = 1\n")
    dirty = git_state(tmp_path)
    assert dirty.commit == clean.commit
    assert dirty.dirty
    assert "-one\n+two\n" in dirty.diff
    assert "untracked: new.py" in dirty.diff
    assert dirty.diff_digest == text_digest(dirty.diff)
    monkeypatch.setattr(lineage, "DIFF_BYTES", 20)
    cut = git_state(tmp_path)
    assert len(cut.diff) < 100
    assert "further bytes of uncommitted changes" in cut.diff
    assert cut.diff_digest == dirty.diff_digest  # of the whole


def test_a_part_of_a_split_is_told_by_rows_times_and_digest() -> None:
    rows = pl.DataFrame({"at": [datetime(2024, 1, 1), datetime(2024, 1, 3)], "x": [1, 2]})
    told = span(rows, "at")
    assert (told.rows, told.start, told.end) == (2, datetime(2024, 1, 1), datetime(2024, 1, 3))
    assert told.digest != span(rows.with_columns(x=pl.lit(1)), "at").digest


def test_versions_name_what_scoring_runs_on() -> None:
    assert {"mlflow", "scikit-learn", "polars"} <= package_versions().keys()
