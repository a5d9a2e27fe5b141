"""A stored model: read again at writing, and known by its content whenever it was written."""

from pathlib import Path

import pytest

from flywheel.errors import DataError
from tests.training.tiny_package import tiny_parts
from training.families.catalogue import BUILT_IN
from training.packaging.model_code import encode, load_native
from training.packaging.stored_model import check_stored, model_digest, store_model, trusted_types


@pytest.mark.parametrize("family", [family.name for family in BUILT_IN])
def test_the_same_fit_has_the_same_digest_and_another_has_another(tmp_path: Path, family: str) -> None:
    task = "regression"
    if family == "logistic":
        task = "binary"
    one, two = (tiny_parts(tmp_path / str(number), task, family) for number in range(2))  # type: ignore[arg-type]
    other = tiny_parts(tmp_path / "other", "binary", "xgboost", trees=21)
    for name, parts in (("one", one), ("two", two), ("third", other)):
        store_model(parts.model, tmp_path / f"model-{name}", parts.flavor)
    digests = [model_digest(tmp_path / f"model-{name}") for name in ("one", "two", "third")]
    assert digests[0] == digests[1] != digests[2]


def test_one_tree_more_changes_the_digest(tmp_path: Path) -> None:
    digests = set()
    for trees in (20, 21):
        parts = tiny_parts(tmp_path / str(trees), trees=trees)
        store_model(parts.model, tmp_path / f"model-{trees}", parts.flavor)
        digests.add(model_digest(tmp_path / f"model-{trees}"))
    assert len(digests) == 2


def test_a_model_that_answers_otherwise_once_stored_is_found_at_writing(tmp_path: Path) -> None:
    parts, other = tiny_parts(tmp_path / "one"), tiny_parts(tmp_path / "two", trees=3)
    matrix = encode(parts.features, parts.columns.document())
    store_model(other.model, tmp_path / "model", parts.flavor)
    check_stored(tmp_path / "model", "sklearn", "binary", other.model, matrix)
    with pytest.raises(DataError, match="answers otherwise"):
        check_stored(tmp_path / "model", "sklearn", "binary", parts.model, matrix)
    (tmp_path / "model" / "model.skops").write_bytes(b"no zip")
    with pytest.raises(DataError, match="cannot be asked"):
        check_stored(tmp_path / "model", "sklearn", "binary", other.model, matrix)


def test_only_types_of_installed_packages_are_trusted(tmp_path: Path) -> None:
    parts = tiny_parts(tmp_path)
    assert all(name.split(".")[0] in ("sklearn", "numpy", "functools") for name in trusted_types(parts.model))


def test_a_loaded_model_uses_one_thread(tmp_path: Path) -> None:
    for family in ("xgboost", "random_forest"):
        parts = tiny_parts(tmp_path / family, "binary", family)
        store_model(parts.model, tmp_path / f"model-{family}", parts.flavor)
        settings = load_native(tmp_path / f"model-{family}", parts.flavor, "binary").get_params()
        assert {value for name, value in settings.items() if name.endswith("n_jobs")} == {1}
