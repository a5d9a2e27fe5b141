"""The feature function is held to its promise: each row from itself alone, every row, in its order."""

from datetime import datetime
from pathlib import Path

import orjson
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.errors import DataError
from training.data.features import FeatureFunction, check_rows_alone, load_features
from training.packaging.model_code import typed

FRAME = pl.DataFrame({"x": [float(i) for i in range(40)], "s": ["a", "b"] * 20})


def written(folder: Path, expression: str) -> Path:
    path = folder / "features.py"
    path.write_text(f"import polars as pl\n\ndef features(frame):\n    return {expression}\n")
    return path


@pytest.mark.parametrize("expression", ["frame.select('s', y=pl.col('x') * 3)", "frame.select(pl.col('x').sqrt())"])
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


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("frame.select(y=1 / pl.col('x'))", r"feature 'y' is infinite.* in 1 of 40 rows \(row 0: inf\)"),
        ("frame.select('x', z=-(pl.col('x') / 0))", r"feature 'z' is infinite.* in 39 of 40 rows \(row 1: -inf, row 2"),
        ("frame.select(y=pl.col('x') * 1e300)", r"'y' is infinite, or too large for single precision, in 39 of 40"),
        ("frame.select(y=pl.col('x').log())", r"'y' is infinite.*row 0: -inf.*Guard the division or logarithm"),
    ],
)
def test_an_infinite_feature_is_named_with_its_rows(tmp_path: Path, expression: str, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        load_features(written(tmp_path, expression))(FRAME)


def test_missing_numbers_are_no_fault(tmp_path: Path) -> None:
    expression = "frame.select(y=pl.col('x') - 1).with_columns(z=(pl.col('y') - 10).sqrt())"
    features = load_features(written(tmp_path, expression))
    result = features(FRAME.with_columns(x=pl.when(pl.col("x") > 3).then("x")))
    assert result["y"].null_count() == 4
    assert result["z"].is_nan().sum() == 7


@pytest.mark.parametrize(
    "expression",
    [
        "frame.select(y=pl.Series(__import__('random').choices(range(10**9), k=frame.height)))",
        "frame.select('x').with_columns(y=pl.lit(__import__('time').monotonic_ns()))",
    ],
)
def test_a_feature_that_differs_from_call_to_call_is_caught(tmp_path: Path, expression: str) -> None:
    with pytest.raises(DataError, match=r"feature 'y' of the same rows differs from one call to the next"):
        check_rows_alone(load_features(written(tmp_path, expression)), FRAME, seed=1)


times = st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))
rows = st.fixed_dictionaries(
    {
        "x": st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32),
        "n": st.none() | st.integers(-(2**53), 2**53),
        "s": st.none() | st.text(st.characters(codec="utf-8"), max_size=5),
        "b": st.none() | st.booleans(),
        "t": st.none() | times.map(lambda time: time.isoformat(timespec="microseconds")),
    }
)
CONTRACT = [
    {"name": name, "type": kind, "nullable": True}
    for name, kind in {"x": "double", "n": "long", "s": "string", "b": "boolean", "t": "datetime"}.items()
]


def test_a_lone_row_gives_the_same_bits_as_in_company() -> None:
    divided = FeatureFunction(Path("features.py"), lambda frame: frame.select(pl.col("x") / 3))
    assert divided(FRAME[5:6]).equals(divided(FRAME)[5:6])


def _features(frame: pl.DataFrame) -> pl.DataFrame:
    word, hour = pl.col("s").str.to_uppercase(), pl.col("t").dt.hour()
    return frame.select("x", "b", thirds=pl.col("x") / 3, n=pl.col("n") * 7, word=word, hour=hour)


@settings(deadline=None, max_examples=60)
@given(st.lists(rows, min_size=1, max_size=12))
def test_a_logged_row_replayed_alone_gives_the_same_bits(logged: list[dict[str, object]]) -> None:
    function = FeatureFunction(Path("features.py"), _features)
    schema = {"x": pl.Float64, "n": pl.Int64, "s": pl.String, "b": pl.Boolean, "t": pl.String}
    frame = pl.DataFrame(logged, schema=schema).with_columns(pl.col("t").str.to_datetime(time_unit="us"))
    together = function(frame)
    for number, row in enumerate(logged):
        replayed = orjson.loads(orjson.dumps(row))
        alone = function(typed(pl.DataFrame([replayed], schema=schema).to_pandas(), CONTRACT))
        assert alone.equals(together[number : number + 1])
