"""What versions answered against what became true: each row judged by the version that answered it."""

import math
from typing import Any

import polars as pl
import pytest

from flywheel.contract import Column, Contract, Output
from flywheel.errors import DataError
from flywheel.usecase import Task
from monitoring.performance.answers import unseen_note, with_losses


def contract(**outputs: str) -> Contract:
    return Contract(
        columns=(Column(name="at", type="datetime", nullable=False),),
        event_time="at",
        entity=None,
        outputs=tuple(Output.model_validate({"name": name, "type": kind}) for name, kind in outputs.items()),
    )


BINARY = contract(probability="double", decision="boolean")
CLASSES = contract(prediction="string", probability_calm="double", probability_rain="double")
NUMBERS = contract(prediction="double")


def rows(*made: tuple[str, dict[str, Any], Any], outcome: Any = pl.Float64) -> pl.DataFrame:
    """Rows of (version, outputs, outcome)."""
    names = {name: type(value) for _, outputs, _ in made for name, value in outputs.items()}
    kinds = {float: pl.Float64(), str: pl.String(), bool: pl.Boolean()}
    outputs = pl.Struct([pl.Field(name, kinds[kind]) for name, kind in names.items()])
    versions, answers, outcomes = (list(column) for column in zip(*made, strict=True))
    full = [dict.fromkeys(names) | answer for answer in answers]
    return pl.DataFrame(
        {"model_version": versions, "outputs": pl.Series(full, dtype=outputs), "outcome": outcomes},
        schema_overrides={"outcome": outcome},
    )


def test_binary_losses_are_of_the_probability_that_the_outcome_is_1() -> None:
    made = rows(*[("1", {"probability": 0.25, "decision": False}, outcome) for outcome in (1.0, 0.0, None)])
    judged = with_losses(made, "binary", {"1": BINARY})
    assert judged["loss"].to_list() == [pytest.approx(-math.log(0.25)), pytest.approx(-math.log(0.75)), None]
    assert judged["prediction"].to_list() == [0.25] * 3


def test_losses_of_classes_are_of_the_probability_of_the_class_that_became_true() -> None:
    answer = {"prediction": "rain", "probability_calm": 0.25, "probability_rain": 0.75}
    made = rows(*[("1", answer, outcome) for outcome in ("calm", "rain", None)], outcome=pl.String)
    judged = with_losses(made, "multiclass", {"1": CLASSES})
    assert judged["loss"].to_list() == [pytest.approx(-math.log(0.25)), pytest.approx(-math.log(0.75)), None]
    assert judged["prediction"].to_list() == ["rain"] * 3
    assert unseen_note(judged) == ""


def test_a_class_that_the_version_does_not_know_had_no_chance_and_is_named() -> None:
    answer = {"prediction": "rain", "probability_calm": 0.25, "probability_rain": 0.75}
    judged = with_losses(rows(("1", answer, "snow"), outcome=pl.String), "multiclass", {"1": CLASSES})
    assert 30 < judged["loss"].item() < 40
    assert unseen_note(judged).startswith(" 1 outcomes name a class that their version does not know ('snow')")


def test_regression_losses_are_squared_errors() -> None:
    made = rows(("1", {"prediction": 3.0}, 5.0), ("1", {"prediction": 3.0}, None))
    assert with_losses(made, "regression", {"1": NUMBERS})["loss"].to_list() == [4.0, None]


def test_versions_with_other_classes_are_judged_each_by_its_own_in_the_rows_order() -> None:
    wider = contract(
        prediction="string", probability_rain="double", probability_snow="double", probability_calm="double"
    )
    old = {"prediction": "rain", "probability_calm": 0.5, "probability_rain": 0.5}
    new = {"prediction": "snow", "probability_calm": 0.125, "probability_rain": 0.125, "probability_snow": 0.75}
    made = rows(("2", new, "snow"), ("1", old, "snow"), ("2", new, "calm"), ("1", old, "calm"), outcome=pl.String)
    judged = with_losses(made, "multiclass", {"1": CLASSES, "2": wider})
    assert judged["model_version"].to_list() == ["2", "1", "2", "1"]
    assert judged["unseen"].to_list() == [False, True, False, False]
    losses = judged["loss"].to_list()
    assert [losses[0], losses[2], losses[3]] == [pytest.approx(-math.log(p)) for p in (0.75, 0.125, 0.5)]


def test_a_version_without_its_package_is_a_fault_that_names_it() -> None:
    with pytest.raises(DataError, match="Version 9 answered"):
        with_losses(rows(("9", {"prediction": 3.0}, 5.0)), "regression", {"1": NUMBERS})


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_window_without_rows_has_none_of_the_right_types(task: Task) -> None:
    nothing = rows(("1", {"prediction": 3.0}, 5.0)).clear()
    judged = with_losses(nothing, task, {})
    assert judged.is_empty()
    assert judged.schema["loss"] == pl.Float64
    assert judged.schema["prediction"] == (pl.String if task == "multiclass" else pl.Float64)
