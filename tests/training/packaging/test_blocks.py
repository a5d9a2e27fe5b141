"""The blocks of a package: every training row day by day, answers of the test rows, and nothing of a person."""

from pathlib import Path

import pytest

from flywheel.package import INSIDE, ModelPackage
from flywheel.profiling.series import Series
from flywheel.profiling.series_file import read_series, series_bytes
from flywheel.usecase import Task
from tests.training.tiny_package import ROWS, TEST, TYPES, tiny_parts
from training.packaging.package import PackageParts, write_package


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def parts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PackageParts:
    task: Task = request.param
    return tiny_parts(tmp_path_factory.mktemp("usecase"), task, "hist_gradient_boosting")


def test_each_day_has_its_rows_with_labels_and_only_test_rows_have_answers(parts: PackageParts) -> None:
    blocks = parts.blocks.blocks
    assert sum(block.rows for block in blocks) == ROWS
    assert sum(block.columns["label"].rows for block in blocks) == ROWS
    answered = [block.columns["prediction"].rows for block in blocks if "prediction" in block.columns]
    assert sum(answered) == TEST
    assert len(answered) < len(blocks)
    whole = parts.blocks.merged().columns
    assert set(whole) == {*TYPES, "label", "prediction"} - {parts.contract.event_time}
    assert whole["label"].missing == 0
    if parts.task == "binary":
        assert whole["label"].share("true") + whole["label"].share("false") == 1


def test_a_package_has_the_blocks_and_reads_them_again(parts: PackageParts, tmp_path: Path) -> None:
    folder = tmp_path / "model" / INSIDE
    folder.parent.mkdir(parents=True)
    lineage = write_package(folder, parts)
    package = ModelPackage(tmp_path / "model", parts.usecase, parts.contract, profile=None, lineage=lineage)  # type: ignore[arg-type]
    assert package.blocks is not None
    again = read_series(package.blocks)
    assert (again.scale, again.rows) == (parts.blocks.scale, ROWS)
    (folder / "blocks").unlink()
    assert package.blocks is None


def test_no_key_and_nothing_to_guess_a_rare_value_by_is_in_them(parts: PackageParts) -> None:
    series: Series = parts.blocks
    assert "key" not in series.scale.names
    for block in [*series.blocks, series.merged()]:
        for column in block.columns.values():
            if column.categories is not None:
                assert column.categories.distinct is None
                assert all(seen >= 20 for seen in column.categories.counts.values())
    assert len(series_bytes(series)) < 100_000
