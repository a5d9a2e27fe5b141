"""Answers for the reference: each from a fit that had not seen its row, from the first fold's end to the last row."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.errors import DataError
from flywheel.usecase import UseCase, load_usecase, parse_usecase
from monitoring.drift.streams import streams_of
from tests.training.tiny_package import tiny_rows, write_usecase
from training.candidate import Candidate, make_candidate
from training.data.dataset import Dataset, Rows
from training.data.split import Split, split
from training.families.catalogue import choose_families
from training.packaging.blocks import reference_blocks
from training.packaging.model_code import calibrate, predict_matrix
from training.prepare import Prepared, encode_rows, prepare
from training.search.plan import SearchPlan, make_plan
from training.search.search import Found
from training.search.trial import fit
from training.unseen import asked_rows, unseen_answers

EXAMPLES = Path(__file__).parents[2] / "examples"
START = datetime(2024, 1, 1)


def places(rows: Rows) -> list[int]:
    return list(range(rows.start, rows.stop)) if rows.chosen is None else rows.chosen.tolist()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.integers(1, 4), st.booleans())
def test_each_fold_is_asked_about_later_rows_and_no_row_is_asked_about_twice(
    seed: int, delay: int, folds: int, grouped: bool
) -> None:
    made, rows = some_split(seed, delay, folds, grouped=grouped)
    if made is None:
        return
    asked = asked_rows(made.folds, made.test, grouped=grouped)
    told = [place for part in asked for place in places(part)]
    assert told == sorted(set(told))
    for fold, part in zip(made.folds, asked, strict=True):
        assert min(places(part)) > max(places(fold.train))
        assert set(places(part)) >= set(places(fold.validation))
        if grouped:
            known = set(rows[places(fold.train)]["who"])
            assert known.isdisjoint(rows[places(part)]["who"])
    assert told[-1] == rows.height - 1
    if not grouped:
        assert told == list(range(made.folds[0].train.stop, rows.height))


def some_split(seed: int, delay: int, folds: int, *, grouped: bool) -> tuple[Split | None, pl.DataFrame]:
    """Split hourly rows of which some belong together; None: groups have left a part without rows."""
    random, count = np.random.default_rng(seed), 2000
    groups = random.integers(0, 1500, size=count)
    rows = pl.DataFrame(
        {"at": [START + timedelta(hours=hour) for hour in range(count)], "y": random.integers(0, 2, size=count)}
        | {"who": groups.tolist()},
        schema_overrides={"at": pl.Datetime("us")},
    )
    try:
        return split(rows, split_case(delay, folds, grouped=grouped), START + timedelta(hours=count + delay)), rows
    except DataError:
        return None, rows


def split_case(delay: int, folds: int, *, grouped: bool) -> UseCase:
    label = {"column": "y", "available_after": f"{delay}h"}
    data = {"source": {"kind": "csv", "path": "rows.csv"}, "event_time": "at", "label": label}
    data |= {"group": "who"} if grouped else {}
    return parse_usecase({"name": "some-case", "data": data, "train": {"validation": "5d", "folds": folds}}, "test")


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
    train = {"validation": "4d", "folds": 3, "families": ["hist_gradient_boosting"]}
    document = {"name": "tiny", "task": request.param, "train": train}
    document["data"] = {
        "source": {"kind": "parquet", "path": "rows.parquet"},
        "entity": "key",
        "event_time": "at",
        "label": {"column": "label", "available_after": "1d"},
    }
    return Studied(path, tmp_path / "dataset", parse_usecase(document, "test"), trees=8)


def test_each_answer_is_of_the_last_fit_that_knows_nothing_of_its_row_corrected_as_the_versions(
    studied: Studied,
) -> None:
    answers, dataset, plan = studied.answers(), studied.dataset, studied.plan
    folds, first = dataset.folds, dataset.folds[0].train.stop
    assert answers.height == len(dataset.label) - first
    assert answers["at"].is_sorted()
    bounds = [first, *(fold.validation.start for fold in folds[1:]), len(dataset.label)]
    for fold, (start, stop) in zip(folds, pairwise(bounds), strict=True):
        model = fit(studied.found.family, studied.found.params, dataset, fold.train, seed=plan.seed, threads=1).model
        raw = predict_matrix(model, dataset.matrix[start:stop], dataset.task)
        expected = calibrate(raw, studied.candidate.calibration)
        given = answers["prediction"][start - first : stop - first]
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
    ("example", "least", "followed"),
    [
        ("flights", 42, ["mean", "spread", "missing"]),
        ("airports", 115, ["mean", "spread", "missing"]),
        ("seattle-rain", 360, ["mean"]),  # a row a day has no spread
    ],
)
def test_in_the_examples_so_many_days_know_answers_that_drift_follows_them(
    example: str, least: int, followed: Sequence[str], tmp_path: Path
) -> None:
    path = EXAMPLES / example / "usecase.yaml"
    studied = Studied(path, tmp_path / "dataset", load_usecase(path), trees=5)
    prepared = studied.prepared
    blocks = reference_blocks(prepared.split.rows, prepared.contract, prepared.usecase, studied.answers())
    assert sum("prediction" in block.columns for block in blocks.blocks) >= least
    streams = streams_of(blocks).by_kind
    kinds = [kind.value for kind, found in streams.items() if any(one.source == "prediction" for one in found)]
    assert kinds == followed
