from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.digest import folder_digest
from flywheel.errors import IntegrityError

names = st.text("abc", min_size=1, max_size=4)
trees = st.dictionaries(names, st.binary(max_size=20), min_size=1, max_size=5)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@given(first=trees, second=trees)
def test_two_folders_share_a_digest_exactly_when_their_files_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, first: dict[str, bytes], second: dict[str, bytes]
) -> None:
    one = folder_digest(write(tmp_path_factory.mktemp("one"), first))
    two = folder_digest(write(tmp_path_factory.mktemp("two"), second))
    assert (one == two) == (first == second)


def test_moving_a_byte_between_name_and_content_or_folders_changes_the_digest(tmp_path: Path) -> None:
    trees = [{"a/b": b"c"}, {"a": b"bc"}, {"ab": b"c"}, {"a/c": b"b"}, {"a/b": b"c", "d": b""}]
    digests = {folder_digest(write(tmp_path / str(i), tree)) for i, tree in enumerate(trees)}
    assert len(digests) == len(trees)


def test_a_digest_names_its_algorithm(tmp_path: Path) -> None:
    digest = folder_digest(write(tmp_path, {"MLmodel": b"x"}))
    assert digest.startswith("sha256:")
    assert len(digest) == len("sha256:") + 64


def test_an_empty_folder_has_no_digest(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(IntegrityError, match="no digest"):
        folder_digest(tmp_path)
