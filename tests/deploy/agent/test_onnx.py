"""The ONNX backend answers as the packaged model does, whatever the task, the rows and their number."""

import asyncio
import json
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import polars as pl
import pytest

from deploy.agent.backends.backend import ScorerError, ScorerUnreachableError
from deploy.agent.backends.onnx import Onnx
from deploy.agent.outputs import Outputs
from deploy.agent.package import read_served
from flywheel.contract import ValidRow
from flywheel.errors import IntegrityError
from flywheel.package import INSIDE
from flywheel.usecase import Task
from tests.registry.gates.folders import build

TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")


@dataclass(frozen=True)
class Built:
    """A package, its ONNX backend, and rows of its reference sample."""

    folder: Path
    backend: Onnx
    rows: list[ValidRow]
    frame: pl.DataFrame

    def ask(self, rows: Sequence[ValidRow]) -> list[Outputs | None]:
        return asyncio.run(self.backend.score(list(rows), 10.0))

    def expected(self, frame: pl.DataFrame) -> list[dict[str, Any]]:
        """Ask the model as MLflow loads it."""
        answers = mlflow.pyfunc.load_model(str(self.folder)).predict(frame.to_pandas())
        found: list[dict[str, Any]] = answers.to_dict("records")
        return found


@pytest.fixture(scope="module", params=TASKS)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = build(tmp_path_factory.mktemp(request.param), request.param)
    contract = read_served(folder).contract
    frame = pl.read_parquet(folder / INSIDE / "reference.parquet").select([one.name for one in contract.columns])
    plain = [{name: _plain(value) for name, value in row.items()} for row in frame.iter_rows(named=True)]
    return Built(folder, Onnx(folder, contract), [contract.validate_row(row) for row in plain], frame)


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def same(found: Sequence[Outputs | None], expected: Sequence[dict[str, Any]]) -> bool:
    for mine, theirs in zip(found, expected, strict=True):
        assert mine is not None
        assert mine.keys() == theirs.keys()
        for name, value in theirs.items():
            if isinstance(value, float):
                assert mine[name] == pytest.approx(value, abs=1e-5, rel=1e-5)
            else:
                assert mine[name] == value
    return True


def test_all_rows_at_once_are_answered_as_the_model_answers(built: Built) -> None:
    assert same(built.ask(built.rows), built.expected(built.frame))


def test_a_row_has_the_same_answer_alone_in_any_batch_and_in_any_order(built: Built) -> None:
    together = built.ask(built.rows[:40])
    assert [built.ask([row])[0] for row in built.rows[:40]] == together
    assert built.ask(built.rows[39::-1]) == together[::-1]


def test_rows_with_nothing_where_nothing_may_be_are_answered_as_the_model_answers(built: Built) -> None:
    contract = read_served(built.folder).contract
    frame = built.frame.head(20)
    for column in contract.columns:
        if column.nullable:
            frame = frame.with_columns(pl.lit(None, frame.schema[column.name]).alias(column.name))
    rows = [
        contract.validate_row({name: _plain(value) for name, value in row.items()})
        for row in frame.iter_rows(named=True)
    ]
    assert same(built.ask(rows), built.expected(frame))


def test_a_batch_that_would_hold_up_the_loop_goes_to_a_thread_and_has_the_same_answers(built: Built) -> None:
    at_once = built.ask(built.rows)
    built.backend._row_seconds = 1.0
    assert built.ask(built.rows) == at_once
    assert built.backend._row_seconds < 1.0, "it learns again what a row takes"


async def test_a_call_whose_time_is_over_is_never_joined_by_a_second(built: Built) -> None:
    backend, features = built.backend, built.backend._features
    may_go_on, most, running = threading.Event(), 0, 0

    def slow(frame: pl.DataFrame) -> pl.DataFrame:
        nonlocal most, running
        running += 1
        most = max(most, running)
        may_go_on.wait(10)
        running -= 1
        return features(frame)

    backend._lone_seconds, backend._features = 1.0, slow
    try:
        for _ in range(2):
            with pytest.raises(ScorerUnreachableError, match="did not answer within"):
                await backend.score(built.rows[:1], 0.1)
        may_go_on.set()
        backend._lone_seconds = 1.0
        assert same(await backend.score(built.rows[:3], 10.0), built.expected(built.frame.head(3)))
    finally:
        backend._features = features
    assert most == 1


def test_a_feature_function_that_fails_is_the_models_fault(built: Built, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(built.folder, folder)
    (folder / INSIDE / "features.py").write_text("def features(frame):\n    raise KeyError('x')\n")
    broken = Onnx(folder, read_served(folder).contract)
    with pytest.raises(ScorerError, match="The model failed: KeyError"):
        asyncio.run(broken.score(built.rows[:2], 5.0))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("onnx.json", json.dumps({"available": False, "reason": "too far off"}), "no ONNX form: too far off"),
        ("onnx.json", "{", "onnx.json is missing or damaged"),
        ("model.onnx", "no graph", "cannot be loaded"),
        ("features.py", "def features(:", "cannot be loaded: .*SyntaxError"),
        ("features.py", "x = 1", "cannot be loaded: .*'features'"),
    ],
)
def test_a_package_without_a_sound_onnx_form_says_so(
    built: Built, tmp_path: Path, name: str, content: str, said: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(built.folder, folder)
    (folder / INSIDE / name).write_text(content)
    with pytest.raises(IntegrityError, match=said):
        Onnx(folder, read_served(folder).contract)
