"""The code that travels: it holds frames to the contract for real, and gives the bits that training gave."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException

from tests.training.tiny_package import tiny_contract, tiny_parts, tiny_rows
from training.data.features import load_features
from training.packaging.model_code import FlywheelModel, encode, predict_matrix, typed
from training.packaging.package import write_package

COLUMNS = [column.model_dump() for column in tiny_contract("binary").columns]
ROW: dict[str, Any] = {
    "at": "2024-01-20T10:15:00",
    "size": 1.5,
    "count": 3,
    "rank": 2,
    "colour": "red",
    "flag": True,
    "sure": False,
}


def frame(*rows: dict[str, Any], **changes: Any) -> pd.DataFrame:
    return pd.DataFrame([row | changes for row in rows or (ROW,)])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"count": 1.5}, "'count', row 0: takes a whole number, not 1.5"),
        ({"count": True}, "'count', row 0: takes a whole number, not True"),
        ({"count": "3"}, "'count', row 0: takes a whole number, not '3'"),
        ({"count": 2.0**60}, "'count', row 0: takes a whole number"),
        ({"rank": None}, "'rank', row 0: is missing, but needs a value"),
        ({"rank": 2**70}, "'rank', row 0: takes a whole number"),
        ({"size": "big"}, "'size', row 0: takes a finite number, not 'big'"),
        ({"size": float("inf")}, "'size', row 0: takes a finite number, not inf"),
        ({"size": True}, "'size', row 0: takes a finite number, not True"),
        ({"colour": 3}, "'colour', row 0: takes text, not 3"),
        ({"flag": 1}, "'flag', row 0: takes true or false, not 1"),
        ({"flag": "yes"}, "'flag', row 0: takes true or false, not 'yes'"),
        ({"sure": None}, "'sure', row 0: is missing, but needs a value"),
        ({"at": "tomorrow"}, "'at', row 0: takes a time as ISO 8601 text, not 'tomorrow'"),
        ({"at": 5}, "'at', row 0: takes a time as ISO 8601 text, not 5"),
    ],
)
def test_what_breaks_the_contract_is_refused_with_column_row_and_value(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(MlflowException, match=reason) as refusal:
        typed(frame(**change), COLUMNS)
    assert refusal.value.get_http_status_code() == 400


def test_the_row_at_fault_is_named() -> None:
    with pytest.raises(MlflowException, match=r"'count', row 2: takes a whole number, not 2\.5"):
        typed(frame(ROW, ROW | {"count": None}, ROW | {"count": 2.5}), COLUMNS)


def test_limits_that_refuse_are_held_and_others_are_not() -> None:
    limited = [
        {**column, "minimum": 0.0, "maximum": 5.0} if column["name"] == "count" else column for column in COLUMNS
    ]
    assert typed(frame(ROW, ROW | {"count": None}), limited)["count"].to_list() == [3, None]
    with pytest.raises(MlflowException, match="'count', row 1: 9 is outside the contract's limits"):
        typed(frame(ROW, ROW | {"count": 9}), limited)
    flagged = [{**column, "breach": "flag"} for column in limited]
    assert typed(frame(count=9), flagged)["count"].to_list() == [9]
    colours = [{**column, "categories": ["red"]} if column["name"] == "colour" else column for column in COLUMNS]
    with pytest.raises(MlflowException, match="'violet' is outside"):
        typed(frame(colour="violet"), colours)


def test_nullable_columns_may_be_null_or_left_out_and_required_ones_not() -> None:
    found = typed(pd.DataFrame([{"at": ROW["at"], "rank": 1, "sure": True}]), COLUMNS)
    assert found.row(0, named=True) == {
        "at": datetime(2024, 1, 20, 10, 15),
        "size": None,
        "count": None,
        "rank": 1,
        "colour": None,
        "flag": None,
        "sure": True,
    }
    with pytest.raises(MlflowException, match="'sure', row 0: is missing"):
        typed(pd.DataFrame([{"at": ROW["at"], "rank": 1}]), COLUMNS)


def test_times_with_zones_and_of_mixed_forms_become_utc() -> None:
    times = ["2024-01-01", "2024-01-01T01:00:00+01:00", "2024-01-01T00:00:00.000001Z", datetime(2024, 1, 1, tzinfo=UTC)]
    found = typed(frame(*({**ROW, "at": time} for time in times)), COLUMNS)["at"].to_list()
    assert [str(moment) for moment in found] == [
        "2024-01-01 00:00:00",
        "2024-01-01 00:00:00",
        "2024-01-01 00:00:00.000001",
        "2024-01-01 00:00:00",
    ]


@pytest.mark.parametrize("kind", ["Int64", "float64", "object"])
def test_whole_numbers_with_gaps_come_in_any_of_pandas_forms(kind: str) -> None:
    given_frame = frame(ROW, ROW | {"count": None}, ROW | {"count": 7})
    given_frame["count"] = pd.Series([3, None, 7], dtype=kind)
    given_frame["flag"] = pd.Series([True, None, False], dtype="boolean" if kind == "Int64" else "object")
    found = typed(given_frame, COLUMNS)
    assert found["count"].to_list() == [3, None, 7]
    assert found["flag"].to_list() == [True, None, False]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(-(2**53), 2**53)),
            st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
            st.one_of(st.none(), st.booleans()),
            st.one_of(st.none(), st.text(max_size=5)),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_rows_as_json_arrive_as_they_were(rows: list[tuple[Any, ...]]) -> None:
    names = ("count", "size", "flag", "colour")
    sent = json.loads(json.dumps([ROW | dict(zip(names, row, strict=True)) for row in rows]))
    found = typed(pd.DataFrame(sent), COLUMNS)
    assert found.select(names).rows() == rows


@pytest.mark.parametrize("family", ["xgboost", "hist_gradient_boosting", "logistic"])
def test_logged_inputs_replayed_give_the_bits_of_training(tmp_path: Path, family: str) -> None:
    parts = tiny_parts(tmp_path / "home", "binary", family)
    write_package(tmp_path / "package", parts)
    model = FlywheelModel()
    model.load_context(SimpleNamespace(artifacts={"package": str(tmp_path / "package")}))
    raw = tiny_rows("binary").select(column["name"] for column in COLUMNS)
    matrix = encode(load_features(tmp_path / "home" / "features.py")(raw), parts.columns.document())
    replayed = pd.DataFrame(json.loads(raw.with_columns(pl.col("at").dt.to_string("iso:strict")).write_json()))
    for sent in (replayed, raw.to_pandas()):
        assert np.array_equal(model.matrix(sent), matrix, equal_nan=True)
        found = model.predict(None, sent)["probability"].to_numpy()
        assert np.array_equal(found, predict_matrix(parts.model, matrix, "binary"))
    alone = np.vstack([model.matrix(replayed.iloc[[row]]) for row in range(30)])
    assert np.array_equal(alone, matrix[:30], equal_nan=True)


def test_unseen_categories_and_missing_values_have_no_code() -> None:
    columns: list[dict[str, Any]] = [
        {"name": "colour", "categories": ["blue", "red"]},
        {"name": "size", "categories": None},
    ]
    features = pl.DataFrame({"colour": ["red", "violet", None, "blue"], "size": [1.0, None, float("nan"), 2.0]})
    gone = np.nan
    expected = np.array([[1, 1], [gone, gone], [gone, gone], [0, 2]])
    assert np.array_equal(encode(features, columns), expected, equal_nan=True)


def test_a_feature_function_that_fails_is_the_models_fault(tmp_path: Path) -> None:
    parts = tiny_parts(tmp_path / "home")
    write_package(tmp_path / "package", parts)
    source = (tmp_path / "package" / "features.py").read_text()
    (tmp_path / "package" / "features.py").write_text(source.replace('pl.col("rank") * 2', 'pl.col("gone")'))
    model = FlywheelModel()
    model.load_context(SimpleNamespace(artifacts={"package": str(tmp_path / "package")}))
    with pytest.raises(MlflowException, match="feature function failed") as fault:
        model.predict(None, frame())
    assert fault.value.get_http_status_code() == 500


def test_the_code_that_travels_imports_nothing_of_ours() -> None:
    path = Path(sys.modules["training.packaging.model_code"].__file__ or "")
    lines = [line.split() for line in path.read_text().splitlines() if line.startswith(("import ", "from "))]
    ours = {"flywheel", "training", "registry", "deploy", "monitoring"}
    assert not {words[1].split(".")[0] for words in lines} & ours
