"""The feature function is held to its promise: each row from itself alone, every row, in its order."""

from pathlib import Path

import polars as pl
import pytest

from flywheel.errors import DataError
from training.features import check_rows_alone, load_features

FRAME = pl.DataFrame({"x": [float(i) for i in range(40)], "s": ["a", "b"] * 20})


def written(folder: Path, expression: str) -> Path:
    path = folder / "features.py"
    path.write_text(f"import polars as pl\n\ndef features(frame):\n    return {expression}\n")
    return path


@pytest.mark.parametrize("expression", ["frame.select('s', y=pl.col('x') * 3)", "frame.select(pl.col('x').log())"])
def test_row_wise_features_pass(tmp_path: Path, expression: str) -> None:
    check_rows_alone(load_features(written(tmp_path, expression)), FRAME, seed=1)


@pytest.mark.parametrize(
    "expression",
    [
        "frame.select(y=pl.col('x') - pl.col('x').mean())",
        "frame.select(y=pl.col('x').rank())",
        "frame.select(y=pl.col('x').shift(1))",
        "frame.select(y=pl.col('x').mean().over('s'))",
        "frame.select(y=pl.col('x').sort())",
        "frame.select('x').with_columns(y=pl.lit(frame.height))",
    ],
)
def test_a_feature_that_looks_at_other_rows_is_caught(tmp_path: Path, expression: str) -> None:
    with pytest.raises(DataError, match="depends on the rows beside it"):
        check_rows_alone(load_features(written(tmp_path, expression)), FRAME, seed=1)


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("frame.head(3)", "made 3 rows of 40"),
        ("frame['x']", "returned Series"),
        ("frame.select('gone')", "raised ColumnNotFoundError"),
        ("frame.select()", "made 0 rows|returned no column"),
        ("frame.select(d=pl.lit(1).cast(pl.Date))", "made 1 rows|feature 'd' is of type Date"),
    ],
)
def test_a_wrong_result_is_refused(tmp_path: Path, expression: str, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        load_features(written(tmp_path, expression))(FRAME)


def test_a_missing_file_or_function_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        load_features(tmp_path / "gone.py")
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(DataError, match="no function features"):
        load_features(tmp_path / "empty.py")
    (tmp_path / "broken.py").write_text("def features(:")
    with pytest.raises(DataError, match="SyntaxError"):
        load_features(tmp_path / "broken.py")
