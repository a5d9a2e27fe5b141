"""Whose work went into a version, asked of real repositories."""

import subprocess
from pathlib import Path

import pytest

from training.packaging import contributors
from training.packaging.contributors import Contributed, contributed
from training.packaging.lineage import GitState, git_state


def git(folder: Path, *words: str, who: str = "ada") -> str:
    identity = ["-c", f"user.name={who}", "-c", f"user.email={who}@Example.org"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: Path, who: str, message: str = "work") -> str:
    git(folder, "commit", "--allow-empty", "-m", message, who=who)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init")
    commit(folder, "ada")
    return folder


def test_authors_and_co_authors_since_the_champion_are_told_in_any_spelling(repository: Path) -> None:
    champion = commit(repository, "linus")
    commit(repository, "grace")
    commit(
        repository, "ada", "Two\n\nco-authored-by: Mary <Mary@Example.org>\n\nmore\nCo-Authored-By: joan@example.org"
    )
    found = contributed(repository, git_state(repository), champion)
    names = ("ada", "grace", "joan", "mary")
    assert found == Contributed(tuple(f"{name}@example.org" for name in names), champion)


def test_a_first_version_counts_all_commits(repository: Path) -> None:
    commit(repository, "linus")
    found = contributed(repository, git_state(repository), None)
    assert found == Contributed(("ada@example.org", "linus@example.org"))


def test_a_merge_brings_the_authors_of_its_branch(repository: Path) -> None:
    champion = git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "-b", "side")
    commit(repository, "mary")
    git(repository, "checkout", "-")
    commit(repository, "ada")
    git(repository, "merge", "--no-ff", "side", "-m", "merge", who="linus")
    found = contributed(repository, git_state(repository), champion)
    assert found.addresses == ("ada@example.org", "linus@example.org", "mary@example.org")


def test_uncommitted_changes_are_of_who_works_here(repository: Path) -> None:
    champion = git(repository, "rev-parse", "HEAD")
    git(repository, "config", "user.email", "joan@example.org")
    (repository / "new.py").write_text("x = 1\n")
    assert contributed(repository, git_state(repository), champion).addresses == ("joan@example.org",)


def test_an_unchanged_commit_has_no_contributors(repository: Path) -> None:
    champion = git(repository, "rev-parse", "HEAD")
    assert contributed(repository, git_state(repository), champion) == Contributed((), champion)


def test_what_cannot_be_told_is_said(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no git repository" in contributed(tmp_path, GitState(None), None).unknown
    state = git_state(repository)
    assert "not in this clone's history" in contributed(repository, state, "0" * 40).unknown
    assert "names no commit" in contributed(repository, state, "--output=x").unknown
    commit(repository, "linus")
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--depth", "1", f"file://{repository}", str(shallow))
    assert "shallow" in contributed(shallow, git_state(shallow), None).unknown
    monkeypatch.setattr(contributors, "MOST", 1)
    assert "more than 1 people" in contributed(repository, git_state(repository), None).unknown
