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

from flywheel.profiling.series_file import series_bytes, series_from
from flywheel.usecase import Task, UseCase, load_usecase, parse_usecase
from monitoring.drift.watch import learn
from tests.training.tiny_package import tiny_rows, write_usecase
from training.candidate import Candidate, make_candidate
from training.data.dataset import Columns, Dataset, Rows
from training.families.catalogue import choose_families
from training.packaging.blocks import reference_blocks
from training.packaging.model_code import calibrate, predict_matrix
from training.prepare import Prepared, encode_rows, prepare
from training.search.plan import SearchPlan, make_plan
from training.search.search import Found
from training.search.trial import fit
from training.unseen import WEEK, halves, turns, unseen_answers

HOUR = 3_600_000_000
EXAMPLES = Path(__file__).parents[2] / "examples"


def places(rows: Rows) -> list[int]:
    return list(range(rows.start, rows.stop)) if rows.chosen is None else rows.chosen.tolist()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 400), st.booleans())
def test_no_fit_knows_a_row_or_its_group_and_each_row_is_asked_about_once(seed: int, hours: int, grouped: bool) -> None:
    random, count = np.random.default_rng(seed), 1000
    time = np.sort(random.integers(0, hours * 10 * HOUR, size=count))
    named = [None if number % 7 == 0 else f"g{number}" for number in random.integers(0, 300, size=count)]
    groups = pl.Series(named, dtype=pl.String) if grouped else None
    dataset = some_dataset(random.integers(0, 2, size=count).astype(float))
    asked: list[int] = []
    for turn in turns(dataset, halves(time, groups)):
        known, told = places(turn.known), places(turn.asked)
        assert set(known).isdisjoint(told)
        if groups is not None:
            assert (set(groups[known]) - {None}).isdisjoint(groups[told])
        asked += told
    assert len(asked) == len(set(asked))
    assert len(asked) in (0, count)
    assert len(asked) == count or hours * 10 * HOUR < 2 * WEEK


def some_dataset(label: Any, task: Task = "binary", classes: tuple[str, ...] = ()) -> Dataset:
    count = len(label)
    nothing = np.zeros((count, 1), dtype=np.float32)
    return Dataset(task, Columns(("x",), (None,)), classes, nothing, label, np.arange(count), (), "digest")


def test_rows_of_which_the_other_half_never_saw_a_class_are_not_asked_about() -> None:
    half, names = np.arange(2000) // 100 % 2, ("a", "b", "c")
    label = np.tile([0.0, 1.0], 1000)
    label[half == 1] += np.arange(1000) % 3 == 0
    (turn,) = turns(some_dataset(label, "multiclass", names), half)
    assert set(half[places(turn.known)]) == {1}
    assert len(list(turns(some_dataset(np.arange(2000) % 3 * 1.0, "multiclass", names), half))) == 2
    assert list(turns(some_dataset(np.full(2000, 3.5), "regression"), half)) == []


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
        how = self.candidate.calibration
        return unseen_answers(self.prepared, self.dataset, how, plan=self.plan, found=self.found)


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


def test_each_answer_is_of_a_fit_on_the_other_weeks_corrected_as_the_versions(studied: Studied) -> None:
    answers, dataset, plan = studied.answers(), studied.dataset, studied.plan
    assert answers["at"].to_list() == studied.prepared.split.rows["at"].to_list()
    week = answers["at"].dt.epoch("d").to_numpy() // 7
    for parity in (0, 1):
        known, asked = np.flatnonzero(week % 2 != parity), np.flatnonzero(week % 2 == parity)
        rows = Rows(0, len(week), known)
        model = fit(studied.found.family, studied.found.params, dataset, rows, seed=plan.seed, threads=1).model
        expected = calibrate(predict_matrix(model, dataset.matrix[asked], dataset.task), studied.candidate.calibration)
        given = answers["prediction"].gather(asked)
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
    streams = learn(blocks, prepared.usecase.monitor.drift).streams.by_kind
    kinds = [kind.value for kind, found in streams.items() if any(one.source == "prediction" for one in found)]
    assert kinds == followed


def test_blocks_of_a_version_whose_halves_cannot_answer_know_no_answers(
    studied: Studied, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, contract = studied.prepared.split.rows, studied.prepared.contract
    monkeypatch.setattr("training.unseen.teaches", lambda label, n_classes: False)
    nothing = studied.answers()
    blocks = reference_blocks(rows, contract, studied.prepared.usecase, nothing)
    assert sum(block.rows for block in blocks.blocks) == rows.height
    assert not any("prediction" in block.columns for block in blocks.blocks)
    assert series_from(series_bytes(blocks, dense=True), "test").rows == rows.height
