"""Evidently's reports, made for real by the process that monitoring starts."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from flywheel.errors import FlywheelError
from monitoring.reports.process import ReportJob, ReportProcess

ROWS = 400


def frame(seed: int, *, shift: float = 0.0) -> pl.DataFrame:
    """Inputs of every type with nulls, prediction and label."""
    random = np.random.default_rng(seed)
    probability = random.beta(2, 5, ROWS)
    hours = pl.datetime_range(pl.datetime(2013, 4, 1), pl.datetime(2013, 4, 30), "1h", eager=True)
    return pl.DataFrame(
        {
            "time_hour": hours[:ROWS],
            "distance": random.normal(500 + shift, 100, ROWS),
            "temp": [None, *random.normal(20, 5, ROWS - 1)],
            "flight": random.integers(1, 4000, ROWS),
            "carrier": [None, *random.choice(["AA", "B6", "UA"], ROWS - 1)],
            "tailnum": [f"N{number}" for number in range(ROWS)],
            "holiday": random.uniform(size=ROWS) < 0.1,
            "wind": pl.Series([None] * ROWS, dtype=pl.Float64),
            "prediction": probability,
            "label": (random.uniform(size=ROWS) < probability).astype(float),
        }
    )


def ask(folder: Path, current: pl.DataFrame, reference: pl.DataFrame, task: str = "binary") -> list[Path]:
    current.write_parquet(folder / "current.parquet")
    reference.write_parquet(folder / "reference.parquet")
    with ReportProcess(folder / "home") as process:
        process.ask(ReportJob(str(folder / "current.parquet"), str(folder / "reference.parquet"), str(folder), task))
        return process.wait(timeout=120)


def test_drift_and_quality_are_reported_with_unlabelled_rows_in_the_drift_only(tmp_path: Path) -> None:
    current = frame(1, shift=300).with_columns(
        pl.when(pl.int_range(pl.len()) < 50).then(None).otherwise(pl.col("label")).alias("label")
    )
    reference = frame(2).with_columns(pl.col("label").cast(pl.Int8))
    files = ask(tmp_path, current, reference)
    assert [file.name for file in files] == ["drift.html", "drift.json", "quality.html", "quality.json"]
    assert "distance" in files[0].read_text()
    metrics = json.loads(files[1].read_text())["metrics"]
    columns = {metric["config"]["column"] for metric in metrics if "column" in metric["config"]}
    # Times are no inputs; every flight has another tail number; wind was never measured.
    assert columns == {"distance", "temp", "flight", "carrier", "holiday", "prediction"}
    assert metrics[0]["value"]["count"] >= 1
    page = files[0].read_text()
    assert "tailnum: 400 values in 400 rows, where noise alone would look like drift" in page
    assert "wind: the window has no value of it" in page


@pytest.mark.parametrize(("task", "figure"), [("multiclass", "Accuracy"), ("regression", "RMSE")])
def test_the_quality_of_other_tasks_is_reported_in_their_own_terms(tmp_path: Path, task: str, figure: str) -> None:
    names = ["calm", "rain", "heavy rain"]

    def answered(seed: int) -> pl.DataFrame:
        random = np.random.default_rng(seed)
        made = frame(seed)
        if task == "multiclass":
            label, prediction = random.choice(names, ROWS), random.choice(names, ROWS)
            return made.with_columns(prediction=pl.Series(prediction), label=pl.Series(label))
        label = random.normal(20, 5, ROWS)
        return made.with_columns(prediction=pl.Series(label + random.normal(0, 1, ROWS)), label=pl.Series(label))

    current = answered(1).with_columns(label=pl.when(pl.int_range(pl.len()) >= 50).then(pl.col("label")))
    files = ask(tmp_path, current, answered(2), task)
    assert [file.name for file in files] == ["drift.html", "drift.json", "quality.html", "quality.json"]
    drift = json.loads(files[1].read_text())["metrics"]
    assert "prediction" in {metric["config"]["column"] for metric in drift if "column" in metric["config"]}
    assert any(figure in metric["metric_name"] for metric in json.loads(files[3].read_text())["metrics"])


def test_where_only_two_classes_occurred_there_is_a_report_on_drift_alone(tmp_path: Path) -> None:
    made = frame(1).with_columns(prediction=pl.Series(["calm", "rain"] * (ROWS // 2)), label=pl.Series(["calm"] * ROWS))
    assert [file.name for file in ask(tmp_path, made, made, "multiclass")] == ["drift.html", "drift.json"]


def test_a_report_that_fails_says_where_to_read_why(tmp_path: Path) -> None:
    (tmp_path / "reference.parquet").write_text("no parquet")
    frame(1).write_parquet(tmp_path / "current.parquet")
    with ReportProcess(tmp_path) as process:
        process.ask(ReportJob(str(tmp_path / "current.parquet"), str(tmp_path / "reference.parquet"), str(tmp_path)))
        with pytest.raises(FlywheelError, match=r"report failed.*monitor-report.log"):
            process.wait(timeout=120)


def test_after_a_report_that_fails_the_same_process_makes_the_next(tmp_path: Path) -> None:
    frame(1).write_parquet(tmp_path / "current.parquet")
    frame(2).write_parquet(tmp_path / "reference.parquet")
    with ReportProcess(tmp_path) as process:
        for reference in ("nowhere.parquet", "reference.parquet"):
            job = ReportJob(str(tmp_path / "current.parquet"), str(tmp_path / reference), str(tmp_path))
            process.ask(job)
            if reference == "nowhere.parquet":
                with pytest.raises(FlywheelError, match=r"FileNotFoundError: .*monitor-report.log"):
                    process.wait(timeout=120)
                assert process.runs
        assert [file.name for file in process.wait(timeout=120)][:1] == ["drift.html"]


def test_a_report_that_nobody_waited_for_is_not_taken_for_the_next(tmp_path: Path) -> None:
    frame(1).write_parquet(tmp_path / "current.parquet")
    (tmp_path / "second").mkdir()
    file = str(tmp_path / "current.parquet")
    with ReportProcess(tmp_path) as process:
        process.ask(ReportJob("nowhere.parquet", "nowhere.parquet", str(tmp_path)))
        process.ask(ReportJob(file, file, str(tmp_path / "second")))
        assert {path.parent.name for path in process.wait(timeout=120)} == {"second"}


def test_a_report_that_takes_too_long_ends_its_process_and_says_so(tmp_path: Path) -> None:
    with ReportProcess(tmp_path) as process:
        process.ask(ReportJob("current", "reference", str(tmp_path)))
        with pytest.raises(FlywheelError, match="not ready after 0 s"):
            process.wait(timeout=0.01)
        assert not process.runs


def test_leaving_early_ends_the_process(tmp_path: Path) -> None:
    with ReportProcess(tmp_path) as process:
        process.start()
        assert process.runs
    assert not process.runs


def test_nothing_is_started_before_somebody_wants_a_report(tmp_path: Path) -> None:
    with ReportProcess(tmp_path) as process:
        assert not process.runs
    assert not (tmp_path / "logs").exists()
