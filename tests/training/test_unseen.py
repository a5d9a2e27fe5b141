"""Answers for the reference: each of a fit that had not seen its row."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.usecase import Task, UseCase, load_usecase, parse_usecase
from monitoring.drift.streams import streams_of
from tests.training.tiny_package import tiny_rows, write_usecase
from training.candidate import Candidate, make_candidate
from training.data.dataset import Columns, Dataset, Fold, Rows
from training.families.catalogue import choose_families
from training.packaging.blocks import reference_blocks
from training.packaging.model_code import calibrate, predict_matrix
from training.prepare import Prepared, encode_rows, prepare
from training.search.plan import SearchPlan, make_plan
from training.search.search import Found
from training.search.trial import fit
from training.unseen import turns, unseen_answers

EXAMPLES = Path(__file__).parents[2] / "examples"


def places(rows: Rows) -> list[int]:
    return list(range(rows.start, rows.stop)) if rows.chosen is None else rows.chosen.tolist()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.integers(1, 3), st.integers(5, 25), st.booleans())
def test_no_fit_knows_a_row_or_its_group_and_each_row_is_asked_about_once(
    seed: int, delay: int, folds: int, days: int, grouped: bool
) -> None:
    random, count = np.random.default_rng(seed), 2000
    groups = pl.Series(random.integers(0, 900, size=count)) if grouped else None
    parts = some_folds(count, delay, folds, days)
    dataset = some_dataset(random.integers(0, 2, size=count).astype(float), parts)
    asked: list[int] = []
    for turn in turns(dataset, groups):
        known, told = places(turn.known), places(turn.asked)
        assert set(known).isdisjoint(told)
        if groups is not None:
            assert set(groups[known]).isdisjoint(groups[told])
        asked += told
    assert asked == sorted(set(asked))
    if groups is None:
        assert asked == list(range(count))
        assert all(len(turn.known) >= count // 3 for turn in list(turns(dataset, groups))[:-1])


def some_folds(count: int, delay: int, folds: int, days: int) -> list[Fold]:
    """Cut rows, one an hour, as a split does: gaps of `delay` rows, validations and a test of `days`."""
    stop, made = count - 24 * days - delay, list[Fold]()
    for _ in range(folds):
        start = stop - 24 * days
        made.append(Fold(Rows(0, start - delay), Rows(start, stop)))
        stop = start
    return made[::-1]


def some_dataset(label: Any, folds: list[Fold], task: Task = "binary", classes: tuple[str, ...] = ()) -> Dataset:
    count = len(label)
    nothing = np.zeros((count, 1), dtype=np.float32)
    return Dataset(task, Columns(("x",), (None,)), classes, nothing, label, np.arange(count), tuple(folds), "digest")


def test_rows_of_which_half_never_saw_a_class_are_not_asked_about() -> None:
    label = np.tile([0.0, 1.0, 2.0], 700)
    label[1000:] %= 2
    folds = some_folds(len(label), 24, 1, 10)
    known = [turn.known for turn in turns(some_dataset(label, folds, "multiclass", ("a", "b", "c")), None)]
    assert known == [Rows(0, 1050), folds[-1].train]
    everywhere = some_dataset(np.tile([0.0, 1.0, 2.0], 700), folds, "multiclass", ("a", "b", "c"))
    assert [turn.known for turn in turns(everywhere, None)] == [Rows(1050, 2100), *known]


class Studied:
    """A use case whose search found the first family's defaults, fitted with few trees."""

    def __init__(self, path: Path, folder: Path, usecase: UseCase, **params: Any) -> None:
        self.prepared: Prepared = prepare(usecase, path, usecase.train.until or datetime(2024, 3, 1))
        self.dataset: Dataset = encode_rows(self.prepared, folder)
        self.plan: SearchPlan = make_plan(usecase, path.parent, self.dataset, as_of=self.prepared.as_of, trials=1)
        family = choose_families(self.plan.entries, self.plan.task, self.plan.home)[0]
        chosen = {**family.defaults(self.plan.task), **params}
        self.found = Found(family, chosen, 0.0, 0, (), self.plan.study, {})
        self.candidate: Candidate = make_candidate(self.prepared, self.dataset, self.plan, self.found)

    def answers(self) -> pl.DataFrame:
        return unseen_answers(self.prepared, self.dataset, self.candidate, plan=self.plan, found=self.found)


@pytest.fixture(params=["binary", "multiclass", "regression"])
def studied(request: pytest.FixtureRequest, tmp_path: Path) -> Studied:
    path = write_usecase(tmp_path / "case", request.param)
    train = {"validation": "3d", "folds": 3, "families": ["hist_gradient_boosting"]}
    document = {"name": "tiny", "task": request.param, "train": train}
    document["data"] = {
        "source": {"kind": "parquet", "path": "rows.parquet"},
        "entity": "key",
        "event_time": "at",
        "label": {"column": "label", "available_after": "1d"},
    }
    return Studied(path, tmp_path / "dataset", parse_usecase(document, "test"), trees=8)


def test_each_answer_is_of_a_fit_that_does_not_know_its_row_corrected_as_the_versions(studied: Studied) -> None:
    answers, dataset, plan = studied.answers(), studied.dataset, studied.plan
    count, train = len(dataset.label), dataset.folds[-1].train
    assert answers.height == count
    assert answers["at"].is_sorted()
    cut = count // 2
    assert train.stop > count * 2 / 3
    fitted = [(Rows(cut, count), 0, cut), (Rows(0, cut), cut, train.stop), (train, train.stop, count)]
    for rows, start, stop in fitted:
        model = fit(studied.found.family, studied.found.params, dataset, rows, seed=plan.seed, threads=1).model
        raw = predict_matrix(model, dataset.matrix[start:stop], dataset.task)
        expected = calibrate(raw, studied.candidate.calibration)
        given = answers["prediction"][start:stop]
        if dataset.task == "multiclass":
            assert given.to_list() == [dataset.classes[code] for code in expected.argmax(axis=1)]
        else:
            np.testing.assert_allclose(given.to_numpy(), expected)


def test_a_fit_that_learns_rows_by_heart_cannot_do_so_with_those_of_the_reference(tmp_path: Path) -> None:
    path = write_usecase(tmp_path / "case", "binary")
    rows = tiny_rows("binary").with_columns(label=pl.Series(np.random.default_rng(1).integers(0, 2, 600)))
    rows.write_parquet(path.parent / "rows.parquet")
    usecase = parse_usecase(
        {
            "name": "tiny",
            "data": {
                "source": {"kind": "parquet", "path": "rows.parquet"},
                "event_time": "at",
                "label": {"column": "label", "available_after": "1d"},
            },
            "train": {"validation": "5d", "families": ["random_forest"]},
            "evaluate": {"calibration": "none"},
        },
        "test",
    )
    studied = Studied(path, tmp_path / "dataset", usecase)
    answers = studied.answers().join(rows.select("at", "label"), on="at")
    hits = ((answers["prediction"] > 0.5) == (answers["label"] == 1)).mean()
    assert 0.35 < float(hits) < 0.65  # type: ignore[arg-type]  # of labels that are drawn by lot


@pytest.mark.parametrize(
    ("example", "days", "followed"),
    [
        ("flights", 90, ["mean", "spread", "missing"]),
        ("airports", 182, ["mean", "spread", "missing"]),
        ("seattle-rain", 1095, ["mean"]),  # a row a day has no spread
    ],
)
def test_in_the_examples_every_day_knows_answers_and_drift_follows_them(
    example: str, days: int, followed: Sequence[str], tmp_path: Path
) -> None:
    path = EXAMPLES / example / "usecase.yaml"
    studied = Studied(path, tmp_path / "dataset", load_usecase(path), trees=5)
    prepared = studied.prepared
    blocks = reference_blocks(prepared.split.rows, prepared.contract, prepared.usecase, studied.answers())
    assert sum("prediction" in block.columns for block in blocks.blocks) == days
    streams = streams_of(blocks).by_kind
    kinds = [kind.value for kind, found in streams.items() if any(one.source == "prediction" for one in found)]
    assert kinds == followed
