"""The package: everything the model needs, nothing of a person, and the same answers as the estimator."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pytest

from flywheel.contract import Contract
from flywheel.package import Lineage
from flywheel.profile import Profile, read_profile
from flywheel.usecase import load_usecase
from training.evaluate import score
from training.families import choose_families
from training.job import Prepared, make_lineage, make_parts, make_sides, prepare
from training.model_code import FlywheelModel, estimator_input, typed
from training.package import PackageParts, contract_from_frame, profile_column, write_package
from training.search import Candidate, SearchPlan, positive


def make(path: Path, family: str = "xgboost") -> tuple[Prepared, PackageParts]:
    usecase = load_usecase(path)
    prepared = prepare(usecase, path, None)
    sides = make_sides(prepared)
    (chosen,) = choose_families((family,))
    plan = SearchPlan("study", [chosen], 1, usecase.train, threads=1)
    model = chosen.estimator(chosen.defaults, sides.columns, 7, 1).fit(sides.train, sides.train_label)
    probability = positive(model, sides.validation)
    scores = score(sides.validation_label, probability, sides.validation_day)
    best = Candidate(chosen, chosen.defaults, model, probability, scores)
    lineage = make_lineage(prepared, plan, best, "run", "sha256:0")
    return prepared, make_parts(prepared, sides, best, lineage, plan)


def load(package: Path) -> FlywheelModel:
    model = FlywheelModel()
    model.load_context(SimpleNamespace(artifacts={"package": str(package)}))
    return model


@pytest.mark.parametrize("family", ["xgboost", "logistic"])
def test_the_packaged_model_answers_as_the_estimator_does(
    write_usecase: Callable[..., Path], tmp_path: Path, family: str
) -> None:
    prepared, parts = make(write_usecase(), family)
    write_package(tmp_path / "package", parts)
    rows = prepared.split.validation
    expected = positive(parts.estimator, prepared.model_input(rows))
    found = load(tmp_path / "package").predict(None, rows.select(prepared.inputs).to_pandas())
    assert list(found.columns) == ["probability"]
    assert found["probability"].dtype == np.float64
    assert np.array_equal(found["probability"].to_numpy(), expected)


def test_two_versions_with_other_features_live_in_one_process(
    write_usecase: Callable[..., Path], tmp_path: Path
) -> None:
    _, first = make(write_usecase())
    write_package(tmp_path / "one", first)
    other = "import polars as pl\n\ndef features(frame):\n    return frame.select('size')\n"
    prepared, second = make(write_usecase(features=other))
    write_package(tmp_path / "two", second)
    frame = prepared.split.validation.select(prepared.inputs).to_pandas()
    one, two = load(tmp_path / "one"), load(tmp_path / "two")
    before = one.predict(None, frame)
    two.predict(None, frame)
    assert one.features is not two.features
    assert before.equals(one.predict(None, frame))


def test_the_package_holds_no_key_and_reads_back(write_usecase: Callable[..., Path], tmp_path: Path) -> None:
    prepared, parts = make(write_usecase())
    folder = tmp_path / "package"
    write_package(folder, parts)
    reference = pl.read_parquet(folder / "reference.parquet")
    assert reference.columns == ["at", "size", "count", "colour", "prediction", "label"]
    profile = read_profile(folder / "profile.json")
    assert profile.rows == prepared.split.validation.height == profile.reference.rows
    assert profile.reference.standard_error > 0
    assert {column.name for column in profile.columns} == set(prepared.inputs)
    assert Contract.model_validate_json((folder / "contract.json").read_text()) == parts.contract
    assert Lineage.model_validate_json((folder / "lineage.json").read_text()) == parts.lineage
    assert "k1" not in (folder / "profile.json").read_text()
    assert "fitted again" in (folder / "card.md").read_text()


def test_what_a_request_may_leave_out_follows_from_its_type(write_usecase: Callable[..., Path]) -> None:
    path = write_usecase()
    prepared = prepare(load_usecase(path), path, None)
    assert {column.name: (column.type, column.nullable) for column in prepared.contract.columns} == {
        "at": ("datetime", False),
        "size": ("double", True),
        "count": ("long", False),
        "colour": ("string", True),
    }
    frame = pl.DataFrame({"at": [1], "flag": [True]}).with_columns(pl.col("at").cast(pl.Datetime("us")))
    assert contract_from_frame(frame, prepared.usecase).columns[1].type == "boolean"


def test_categories_seen_less_than_twenty_times_stay_out_of_the_profile() -> None:
    column = pl.Series("colour", ["red"] * 60 + ["rare"] * 19 + [None] * 21)
    profile = profile_column(column, "string")
    assert profile.categories == {"red": 0.6}
    assert profile.missing_share == pytest.approx(0.21)


def test_a_request_gains_left_out_columns_and_loses_nothing() -> None:
    columns = [{"name": "at", "type": "datetime"}, {"name": "x", "type": "double"}, {"name": "s", "type": "string"}]
    frame = pd.DataFrame(
        {"s": ["a", None], "at": pd.to_datetime(["2024-01-01T00:00:00.000000", "2024-01-02T03:04:05.000006"])}
    )
    found = typed(frame, columns)
    assert found.schema == {"at": pl.Datetime("us"), "x": pl.Float64, "s": pl.String}
    assert found["s"].to_list() == ["a", None]
    assert str(found["at"][1]) == "2024-01-02 03:04:05.000006"
    assert estimator_input(found)["s"].tolist() == ["a", ""]


def test_the_code_that_travels_imports_nothing_of_ours() -> None:
    path = Path(sys.modules["training.model_code"].__file__ or "")
    lines = [line.split() for line in path.read_text().splitlines() if line.startswith(("import ", "from "))]
    assert not {words[1].split(".")[0] for words in lines} & {
        "flywheel",
        "training",
        "registry",
        "deploy",
        "monitoring",
    }
    assert json.dumps(Profile.model_json_schema())
