"""Behavioural tests and disturbed inputs, on a path whose behaviour is known."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from flywheel.errors import SpecError
from flywheel.statistics import Floats
from flywheel.usecase import Behaviour, Costs, Evaluate
from tests.training.evaluation.conftest import MakeSubject
from training.evaluation.behaviours import run_behaviours
from training.evaluation.bootstrap import draw
from training.evaluation.clusters import cluster
from training.evaluation.report import BehaviourResult
from training.evaluation.robustness import disturb
from training.evaluation.subject import Subject
from training.evaluation.wishes import check_wishes


def rises_with_size(inputs: pl.DataFrame) -> Floats:
    size = inputs["size"].fill_null(0.0).to_numpy()
    red = (inputs["colour"] == "red").to_numpy()
    return np.asarray(1 / (1 + np.exp(-(size + red))), dtype=np.float64)


@pytest.fixture
def subject(make_subject: MakeSubject) -> Subject:
    made = make_subject(rows=400)
    return replace(made, predict=rises_with_size, prediction=rises_with_size(made.inputs))


def run(subject: Subject, *tests: Behaviour) -> tuple[BehaviourResult, ...]:
    return run_behaviours(replace(subject, evaluate=Evaluate(behaviours=tests)))


def test_directions_and_invariances_that_hold_pass(subject: Subject) -> None:
    up, down, same = run(
        subject,
        Behaviour(name="larger", column="size", add=1, expect="higher", share=1),
        Behaviour(name="smaller", column="size", add=-1, expect="lower", share=1),
        Behaviour(name="age", column="age", multiply=1.5, expect="same", share=1),
    )
    assert (up.passed, down.passed, same.passed) == (True, True, True)
    assert up.rows == 390  # a missing size cannot be raised
    assert (up.share, up.moved, same.moved) == (1.0, 1.0, 0.0)
    assert up.description == "size raised by 1: the prediction is not lower in 100% of the rows"


def test_what_does_not_hold_fails_with_the_worst_rows_as_examples(subject: Subject) -> None:
    wrong, colour = run(
        subject,
        Behaviour(name="larger", column="size", add=1, expect="lower"),
        Behaviour(name="colour", column="colour", set="red", expect="same"),
    )
    assert (wrong.passed, wrong.share) == (False, 0.0)
    assert len(wrong.examples) == 3
    moves = [example.after - example.before for example in wrong.examples]
    assert moves == sorted(moves, reverse=True)
    assert set(wrong.examples[0].inputs) == {"at", "size", "age", "noise", "colour"}
    assert colour.rows == (subject.inputs["colour"] != "red").sum()  # red ones are as they were


def test_small_changes_count_as_none_within_the_tolerance(subject: Subject) -> None:
    strict, mild = run(
        subject,
        Behaviour(name="size", column="size", add=0.01, expect="same"),
        Behaviour(name="size", column="size", add=0.01, expect="same", tolerance=0.01),
    )
    assert (strict.passed, mild.passed) == (False, True)


def test_a_direction_that_shows_in_no_row_fails_and_an_unchanged_column_proves_nothing(subject: Subject) -> None:
    nowhere, untouched = run(
        subject,
        Behaviour(name="age", column="age", add=5, expect="higher"),
        Behaviour(name="nought", column="size", add=0, expect="higher"),
    )
    assert (nowhere.share, nowhere.passed) == (1.0, False)
    assert (untouched.rows, untouched.passed, untouched.share) == (0, None, None)


def test_several_classes_stay_the_same_when_no_class_moves(make_subject: MakeSubject) -> None:
    made = make_subject("multiclass", rows=400)
    colour, noise = run(
        made,
        Behaviour(name="colour", column="colour", set="red", expect="same"),
        Behaviour(name="noise", column="noise", add=0.0001, expect="same", tolerance=0.01),
    )
    assert colour.passed is False
    assert noise.passed is True


def test_the_input_that_matters_hurts_most_when_it_is_missing(subject: Subject) -> None:
    found = disturb(subject, draw(cluster(subject.day, 0), 100, 0))
    assert (found[0].column, found[0].kind) == ("size", "missing")
    assert (found[0].rise.low or 0) > 0
    kinds = {(item.column, item.kind) for item in found}
    assert ("colour", "unseen category") in kinds
    assert ("age", "noise of 0.25 sd") in kinds
    assert "at" not in {item.column for item in found}
    assert all(item.rise.value == 0 for item in found if item.column in ("age", "noise"))


def test_features_that_fail_without_an_input_are_a_finding_not_a_crash(subject: Subject) -> None:
    def fragile(inputs: pl.DataFrame) -> Floats:
        if inputs["age"].null_count():
            raise ValueError("age must be there")
        return rises_with_size(inputs)

    found = disturb(replace(subject, predict=fragile), draw(cluster(subject.day, 0), 100, 0))
    assert (found[0].column, found[0].fault) == ("age", "ValueError: age must be there")
    assert found[0].loss is None


INPUTS = pl.Schema({"at": pl.Datetime("us"), "size": pl.Float64(), "age": pl.Int64(), "colour": pl.String()})


@pytest.mark.parametrize(
    ("wish", "task", "says"),
    [
        (Evaluate(slices=("colour", "gone")), "binary", "'gone' is neither"),
        (Evaluate(costs=Costs(false_positive=1, false_negative=1)), "regression", "no decision"),
        (Evaluate(calibration="platt"), "regression", "no probabilities"),
        (Evaluate(behaviours=(Behaviour(name="a", column="gone", add=1, expect="same"),)), "binary", "is no input"),
        (Evaluate(behaviours=(Behaviour(name="a", column="size", add=1, expect="higher"),)), "multiclass", "direction"),
        (Evaluate(behaviours=(Behaviour(name="a", column="colour", add=1, expect="same"),)), "binary", "Use set"),
        (Evaluate(behaviours=(Behaviour(name="a", column="age", set=1.5, expect="same"),)), "binary", "to 1.5"),
        (Evaluate(behaviours=(Behaviour(name="a", column="size", set="big", expect="same"),)), "binary", "to 'big'"),
    ],
)
def test_wishes_that_cannot_be_met_are_refused_before_training(wish: Evaluate, task: str, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        check_wishes(wish, task, INPUTS, pl.Schema({"double": pl.Float64()}))  # type: ignore[arg-type]  # from a table


def test_wishes_that_can_be_met_are_let_pass() -> None:
    tests = (
        Behaviour(name="a", column="size", set=2.0, expect="same"),
        Behaviour(name="b", column="age", set=30.0, expect="higher"),
        Behaviour(name="c", column="colour", set="red", expect="lower"),
    )
    check_wishes(
        Evaluate(slices=("double", "size"), behaviours=tests), "binary", INPUTS, pl.Schema({"double": pl.Float64()})
    )
