"""Training's processes behind the protocol: real fits, over a pipe, that outlive a kill."""

import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from flywheel.errors import DataError, StackError, UsageError
from flywheel.usecase import load_usecase
from monitoring.backtest.history import open_history
from monitoring.backtest.policies import chosen, standard
from monitoring.backtest.run import Plan, history_name, run_on
from monitoring.backtest.table import document
from monitoring.backtest.trainer import Fit, TrainingProcesses, encode

START, END = datetime(2013, 1, 1), datetime(2013, 5, 1)
PARAMS = {"penalty": "l2", "C": 1.0}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A use case of four months whose label turns round in March."""
    folder, random = tmp_path_factory.mktemp("usecase"), np.random.default_rng(2)
    hours = pl.datetime_range(START, END + timedelta(days=2), "30m", eager=True, closed="left")
    x = random.normal(0, 1, len(hours))
    sign = np.where(hours < datetime(2013, 3, 1), 1, -1)
    label = (random.random(len(hours)) < 1 / (1 + np.exp(-2 * sign * x))).astype(int)
    pl.DataFrame({"at": hours, "x": x, "late": label}).write_parquet(folder / "rows.parquet")
    (folder / "features.py").write_text("def features(frame):\n    return frame.select('x')\n")
    document = {
        "name": "late",
        "data": {
            "source": {"kind": "parquet", "path": "rows.parquet"},
            "event_time": "at",
            "label": {"column": "late", "available_after": "1d"},
        },
        "train": {"families": ["logistic"], "validation": "10d"},
        "evaluate": {"costs": {"false_positive": 1, "false_negative": 1}},
        "monitor": {"window": "7d", "min_outcomes": 100, "retrain": {"margin": 0.05, "cooldown": "7d"}},
    }
    (folder / "usecase.yaml").write_text(yaml.safe_dump(document))
    return folder / "usecase.yaml"


@pytest.fixture(scope="module")
def encoded(file: Path) -> Path:
    folder = file.parent / "encoded"
    encode(file, END.isoformat(), folder)
    return folder


def test_a_fit_predicts_what_its_rows_say_and_weights_are_heeded(file: Path, encoded: Path, tmp_path: Path) -> None:
    history = open_history(encoded, timedelta(days=1))
    known, place = history.known(datetime(2013, 4, 1)), history.place(datetime(2013, 4, 1))
    rows, asked = (0, known), (place, len(history.time))
    with TrainingProcesses(file, encoded) as trainer:
        assert trainer.tune(2000, (2048, 2500))[0] == "logistic"
        trainer.fit(Fit("logistic", PARAMS, rows, asked), tmp_path / "all.npy")
        trainer.fit(Fit("logistic", PARAMS, rows, asked, 10 * 86_400_000_000), tmp_path / "newer.npy")
    everything, newer = (history.losses(place, np.load(tmp_path / f"{name}.npy")).mean() for name in ("all", "newer"))
    assert len(np.load(tmp_path / "all.npy")) == asked[1] - asked[0]
    assert newer < 0.6 < everything  # the newer rows alone know that the label has turned round


def test_a_fit_that_fails_is_a_sentence_and_the_process_goes_on(file: Path, encoded: Path, tmp_path: Path) -> None:
    with TrainingProcesses(file, encoded) as trainer:
        with pytest.raises(DataError, match="A fit failed"):
            trainer.fit(Fit("logistic", {"penalty": "l2", "C": -1.0}, (0, 500), (600, 700)), tmp_path / "no.npy")
        trainer.fit(Fit("logistic", PARAMS, (0, 500), (600, 700)), tmp_path / "yes.npy")
    assert not (tmp_path / "no.npy").exists()
    assert (tmp_path / "yes.npy").exists()


def test_a_process_that_has_ended_is_replaced(file: Path, encoded: Path, tmp_path: Path) -> None:
    with TrainingProcesses(file, encoded) as trainer:
        trainer.tune(2000, (2048, 2500))
        trainer._started[0].kill()
        trainer._started[0].wait()
        trainer.fit(Fit("logistic", PARAMS, (0, 500), (600, 700)), tmp_path / "fit.npy")
    assert (tmp_path / "fit.npy").exists()


def test_a_process_that_ends_in_the_middle_of_a_fit_is_a_sentence(tmp_path: Path) -> None:
    nothing = TrainingProcesses(tmp_path / "usecase.yaml", tmp_path / "nothing-here")
    with nothing as trainer, pytest.raises(StackError, match="in the middle of a fit"):
        trainer.tune(2000, (2048, 2500))


def test_a_source_that_is_not_as_declared_is_told_in_trainings_words(file: Path, tmp_path: Path) -> None:
    text = file.read_text().replace("column: late", "column: punctual")
    broken = file.with_name("broken.yaml")
    broken.write_text(text)
    with pytest.raises(DataError, match="punctual"):
        encode(broken, END.isoformat(), tmp_path / "encoded")


@pytest.mark.parametrize("begin", ["2013-01-09", "2013-05-01"])
def test_a_beginning_out_of_reach_is_refused_before_anything_is_encoded(file: Path, tmp_path: Path, begin: str) -> None:
    with pytest.raises(UsageError, match=f"from 2013-01-01 to 2013-04-29, and --from {begin} must lie"):
        encode(file, "2013-04-30T23:00:00", tmp_path / "encoded", begin)
    assert not (tmp_path / "encoded").exists()


def test_a_backtest_ends_alike_whether_it_was_killed_or_not(file: Path, encoded: Path, tmp_path: Path) -> None:
    """The command is killed with SIGKILL after a few fits; the run after it finds them, and says the same."""
    names, case = ["never", "weekly", "harm"], load_usecase(file)
    folder, whole_folder = tmp_path / "killed", tmp_path / "whole"
    times = (datetime(2013, 2, 10), datetime(2013, 4, 1), END)
    plan = Plan(file, case, chosen(names, standard(case.monitor.retrain)), *times, folder)
    shutil.copytree(encoded, folder / history_name(plan))
    arguments = ["backtest", str(file), "--from", "2013-02-10", "--choose-until", "2013-04-01", "--to", "2013-05-01"]
    arguments += ["--output", str(folder), *(word for name in names for word in ("--policy", name))]
    code = "import sys; from monitoring.cli import app; app(sys.argv[1:])"
    killed = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(folder.glob("fits/*.npy"))) < 3:
        assert killed.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
    killed.kill()
    killed.wait()
    told: list[bool] = []
    history = open_history(encoded, timedelta(days=1))
    with TrainingProcesses(file, encoded) as trainer:
        again = run_on(plan, history, trainer, told.append)
        whole = run_on(replace(plan, folder=whole_folder), history, trainer, lambda _: None)
    assert told.count(False) >= 3
    assert json.dumps(document(again)) == json.dumps(document(whole))
    found = {row["policy"]: row for row in document(whole)["policies"]}
    assert found["never"]["loss_report"] > found["weekly"]["loss_report"]
    assert found["harm"]["trainings"] >= 1
    assert found["harm"]["loss_report"] < found["never"]["loss_report"]
