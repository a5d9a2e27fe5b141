"""Digests that see every row, and a commit that says whether it is the whole truth."""

import subprocess
from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from training.lineage import file_digest, frame_digest, git_state, package_versions

FRAME = pl.DataFrame({"x": range(20_000), "s": ["a"] * 20_000})


@settings(deadline=None)
@given(st.integers(0, 19_999))
def test_a_change_in_any_row_changes_the_digest(row: int) -> None:
    other = FRAME.with_columns(pl.when(pl.int_range(pl.len()) == row).then(pl.lit("b")).otherwise("s").alias("s"))
    assert frame_digest(other) != frame_digest(FRAME)


def test_order_types_names_and_nulls_count() -> None:
    digests = [
        frame_digest(frame)
        for frame in (
            FRAME,
            FRAME.reverse(),
            FRAME.cast({"x": pl.Float64}),
            FRAME.rename({"s": "t"}),
            FRAME.with_columns(s=pl.lit("")),
            FRAME.with_columns(s=pl.lit(None, pl.String)),
        )
    ]
    assert len(set(digests)) == len(digests)
    assert frame_digest(FRAME.clone()) == digests[0]


def test_a_folder_has_a_digest_of_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1")
    first = file_digest(tmp_path)
    (tmp_path / "a.csv").rename(tmp_path / "b.csv")
    assert file_digest(tmp_path) != first


def test_the_commit_is_told_with_whether_anything_changed_since(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *words], check=True, capture_output=True)

    git("init")
    assert git_state(tmp_path) == (None, None)
    (tmp_path / "file").write_text("1")
    git("add", ".")
    git("commit", "-m", "first")
    commit, dirty = git_state(tmp_path)
    assert commit is not None
    assert len(commit) == 40
    assert dirty is False
    (tmp_path / "file").write_text("2")
    assert git_state(tmp_path) == (commit, True)


def test_versions_name_what_scoring_runs_on() -> None:
    assert {"mlflow", "scikit-learn", "polars"} <= package_versions().keys()
