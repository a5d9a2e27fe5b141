"""A study's name: the same for the same search, another for any other; and what workers are told of a plan."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from flywheel.errors import DataError, SpecError
from tests.training.tiny_dataset import AS_OF, usecase, write
from training.search.plan import Warm, make_plan, read_plan, study_name

HERE = Path(__file__).parent


def name(digest: str = "sha256:1", as_of: datetime = AS_OF, home: Path = HERE, **train: Any) -> str:
    return study_name(usecase(**train), home, as_of=as_of, digest=digest)


def test_the_name_says_whose_and_as_of_when() -> None:
    assert name().startswith("tiny/2024-06-01T00:00:00/")
    assert name() == name()


@pytest.mark.parametrize(
    "train", [{"trials": 99}, {"minutes": 5}, {"workers": 3}, {"threads": 2}, {"warm_start": False}]
)
def test_how_long_and_on_what_it_runs_does_not_change_the_name(train: dict[str, Any]) -> None:
    assert name(**train) == name()


def test_any_other_search_has_another_name(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("one = 1")
    names = {
        name(),
        name("sha256:2"),
        name(as_of=datetime(2024, 6, 2)),
        name(metric="roc_auc"),
        name(seed=8),
        name(pruning=False),
        name(families=["logistic"]),
        name(families=["mine.py"], home=tmp_path),
    }
    (tmp_path / "mine.py").write_text("two = 2")
    names.add(name(families=["mine.py"], home=tmp_path))
    assert len(names) == 9
    with pytest.raises(DataError, match=r"gone\.py cannot be read"):
        name(families=["gone.py"])


def test_a_worker_reads_what_the_search_wrote(tmp_path: Path) -> None:
    case = usecase(families=["logistic"], metric="brier", seed=3)
    plan = make_plan(case, tmp_path, write(tmp_path, case), as_of=AS_OF, trials=5)
    again = read_plan(json.loads(json.dumps(plan.document())), study=plan.study, home=HERE, threads=4)
    told = (
        "usecase",
        "study",
        "task",
        "entries",
        "metric",
        "trials",
        "as_of",
        "digest",
        "seed",
        "pruning",
        "heartbeat",
    )
    assert all(getattr(again, key) == getattr(plan, key) for key in told)
    assert (again.home, again.threads, plan.trials) == (HERE, 4, 5)


def test_the_use_case_decides(tmp_path: Path) -> None:
    warm = Warm("logistic", {"penalty": "l2", "C": 1.0})
    case = usecase(threads=3, workers=2)
    dataset = write(tmp_path, case)
    plan = make_plan(case, tmp_path, dataset, as_of=AS_OF, warm=warm)
    assert (plan.trials, plan.metric, plan.threads, plan.workers, plan.warm) == (12, "log_loss", 3, 2, warm)
    assert make_plan(usecase(warm_start=False), tmp_path, dataset, as_of=AS_OF, warm=warm).warm is None
    assert make_plan(usecase(workers=64), tmp_path, dataset, as_of=AS_OF).threads == 1
    with pytest.raises(SpecError, match=r"train\.metric: 'rmse' is no metric of task binary"):
        make_plan(usecase(metric="rmse"), tmp_path, dataset, as_of=AS_OF)
