"""Behavioural tests: one input changes, and the prediction must stay, rise or fall (Ribeiro et al. 2020, CheckList)."""

import numpy as np
import numpy.typing as npt
import polars as pl

from flywheel.statistics import Floats
from flywheel.usecase import Behaviour
from training.evaluation.report import BehaviourResult, Example
from training.evaluation.subject import Subject

MOST_ROWS = 5000
EXAMPLES = 3


def run_behaviours(subject: Subject) -> tuple[BehaviourResult, ...]:
    """Run every test of the use case on a sample of the test rows; `check_wishes` has seen that they make sense."""
    random = np.random.default_rng(subject.seed)
    rows = np.sort(random.permutation(len(subject.label))[:MOST_ROWS])
    inputs, before = subject.inputs[rows], subject.prediction[rows]
    return tuple(run_behaviour(test, inputs, before, subject) for test in subject.evaluate.behaviours)


def run_behaviour(test: Behaviour, inputs: pl.DataFrame, before: Floats, subject: Subject) -> BehaviourResult:
    """Run one test. Rows that the change leaves as they are, such as those without a value, do not count.

    With `higher` and `lower` a row misbehaves when its prediction moves the other way by more than the tolerance; and
    at least one row must move the right way, for a direction that shows nowhere is none.
    """
    changed = change(test, inputs)
    touched = (changed[test.column].ne_missing(inputs[test.column])).to_numpy()
    inputs, changed, before = inputs.filter(touched), changed.filter(touched), before[touched]
    if not len(before):
        return _result(test, np.empty(0, dtype=bool), moved=None, passed=None)
    after = subject.predict(changed)
    move = _move(before, after)
    aimed = {"same": np.abs(move), "higher": -move, "lower": move}[test.expect]  # how far it went wrong
    good = aimed <= test.tolerance
    right = np.abs(move) if test.expect == "same" else -aimed
    passed = bool(good.mean() >= test.share) and (test.expect == "same" or bool((right > 0).any()))
    worst = [int(row) for row in np.argsort(-aimed, kind="stable")[:EXAMPLES] if not good[row]]
    shown = tuple(_example(inputs, before, after, row) for row in worst)
    return _result(test, good, moved=float((right > test.tolerance).mean()), passed=passed, examples=shown)


def change(test: Behaviour, inputs: pl.DataFrame) -> pl.DataFrame:
    """Return the inputs with the test's column changed, of the type it had; what has no value keeps none."""
    kind = inputs.schema[test.column]
    if test.set is not None:
        return inputs.with_columns(pl.lit(test.set).cast(kind).alias(test.column))
    number = pl.col(test.column).cast(pl.Float64)
    number = number + test.add if test.add is not None else number * test.multiply
    return inputs.with_columns((number.round() if kind.is_integer() else number).cast(kind).alias(test.column))


def describe(test: Behaviour) -> str:
    """Say in words what the test asks."""
    if test.set is not None:
        deed = f"set to {test.set}"
    else:
        deed = f"raised by {test.add:g}" if test.add is not None else f"multiplied by {test.multiply:g}"
    outcome = {"same": "stays the same", "higher": "is not lower", "lower": "is not higher"}[test.expect]
    slack = f" (tolerance {test.tolerance:g})" if test.tolerance else ""
    return f"{test.column} {deed}: the prediction {outcome}{slack} in {test.share:.0%} of the rows"


def _move(before: Floats, after: Floats) -> Floats:
    """Return how far each prediction moved; of several classes the one that moved furthest."""
    move = after - before
    return move if move.ndim == 1 else np.abs(move).max(axis=1)


def _example(inputs: pl.DataFrame, before: Floats, after: Floats, row: int) -> Example:
    own = before[row] if before.ndim == 2 else before[row : row + 1]
    place = int(np.argmax(own))
    new = after[row] if after.ndim == 2 else after[row : row + 1]
    values = {name: "missing" if value is None else str(value) for name, value in inputs.row(row, named=True).items()}
    return Example(inputs=values, before=float(own[place]), after=float(new[place]))


def _result(
    test: Behaviour,
    good: npt.NDArray[np.bool_],
    *,
    moved: float | None,
    passed: bool | None,
    examples: tuple[Example, ...] = (),
) -> BehaviourResult:
    return BehaviourResult(
        name=test.name,
        description=describe(test),
        rows=len(good),
        share=float(good.mean()) if len(good) else None,
        least_share=test.share,
        moved=moved,
        passed=passed,
        examples=examples,
    )
