"""Evidently's workspace: reports over time, a project a use case, and its pages as a program serves them."""

import subprocess
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import requests

from flywheel.settings import Settings
from monitoring.reports import workspace
from monitoring.reports.process import ReportJob
from monitoring.reports.report import build, drift
from monitoring.reports.ui import FOLDER, program
from monitoring.reports.workspace import keep, open_workspace
from tests.deploy.conftest import free_port


def frame(shift: float) -> pd.DataFrame:
    random = np.random.default_rng(3)
    return pd.DataFrame({"distance": random.normal(shift, size=1500), "prediction": random.uniform(size=1500)})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose workspace has five weeks of one use case, and one of another."""
    for week in range(5):
        at = datetime(2026, 1, 5) + timedelta(weeks=week)
        keep(tmp_path / FOLDER, "flights", {"drift": drift(frame(week / 4), frame(0), at)[0]})
    keep(tmp_path / FOLDER, "rain", {"drift": drift(frame(0), frame(0))[0]})
    return tmp_path


def test_each_use_case_has_a_project_with_its_runs_and_panels(home: Path) -> None:
    made = open_workspace(home / FOLDER)
    projects = {project.name: project for project in made.list_projects()}
    assert set(projects) == {"flights", "rain"}
    assert len(list(made.list_runs(projects["flights"].id))) == 5
    assert len(list(made.list_runs(projects["rain"].id))) == 1
    dashboard = made.get_dashboard(projects["flights"].id)
    assert {panel.title for tab in [dashboard] for panel in tab.panels} == set(workspace.PANELS)


def test_old_runs_go_the_newest_stay(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = open_workspace(home / FOLDER)
    (project,) = [one for one in made.list_projects() if one.name == "flights"]
    before = sorted(made.list_runs(project.id))
    monkeypatch.setattr(workspace, "KEPT", 3)
    keep(home / FOLDER, "flights", {"drift": drift(frame(1), frame(0))[0]})
    after = sorted(made.list_runs(project.id))
    assert len(after) == 3
    assert after[:2] == before[-2:]


def test_a_window_that_is_judged_again_is_there_once(home: Path) -> None:
    made = open_workspace(home / FOLDER)
    (project,) = [one for one in made.list_projects() if one.name == "flights"]
    before = set(made.list_runs(project.id))
    for window in ("2026-01-05 to 2026-01-12", "2026-01-12 to 2026-01-19", "2026-01-05 to 2026-01-12"):
        keep(home / FOLDER, "flights", {f"drift, {window}": drift(frame(1), frame(0))[0]})
    added = set(made.list_runs(project.id)) - before
    names = sorted(made.get_run(project.id, run).name for run in added)
    assert names == ["drift, 2026-01-05 to 2026-01-12", "drift, 2026-01-12 to 2026-01-19"]
    (home / FOLDER / workspace.NAMES).write_text("damaged")
    keep(home / FOLDER, "flights", {"drift, 2026-01-05 to 2026-01-12": drift(frame(1), frame(0))[0]})
    assert len(set(made.list_runs(project.id)) - before) == 3  # twice, rather than none


def test_a_workspace_that_cannot_be_written_costs_nobody_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, shift in (("current", 0.5), ("reference", 0.0)):
        frame(shift).assign(label=1).to_parquet(tmp_path / f"{name}.parquet")
    (tmp_path / "taken").write_text("a file where the workspace should be")
    current, reference = (str(tmp_path / f"{name}.parquet") for name in ("current", "reference"))
    job = ReportJob(current, reference, str(tmp_path), workspace=str(tmp_path / "taken"), use_case="flights")
    written = build(job)
    assert {path.name for path in written} == {"drift.html", "drift.json"}
    assert "does not take the report" in capsys.readouterr().err


@pytest.fixture
def url(home: Path) -> Iterator[str]:
    made = program(Settings(home=home), free_port())
    with (home / "log").open("w") as log:
        process = subprocess.Popen(made.command, env=dict(made.environment), stdout=log, stderr=log, cwd=home)
    until = time.monotonic() + 60
    try:
        while True:
            assert process.poll() is None, (home / "log").read_text()
            assert time.monotonic() < until, (home / "log").read_text()
            try:
                if requests.get(f"{made.address}/api/version", timeout=2).ok:
                    break
            except requests.ConnectionError:
                time.sleep(0.2)
        yield made.address
    finally:
        process.terminate()
        process.wait(20)


def test_its_pages_show_the_projects_and_let_nobody_change_them(url: str) -> None:
    projects = requests.get(f"{url}/api/projects", timeout=10).json()
    assert {project["name"] for project in projects} == {"flights", "rain"}
    name = projects[0]["id"]
    assert requests.delete(f"{url}/api/projects/{name}", timeout=10).status_code in {401, 403}
    assert requests.get(f"{url}/", timeout=10).ok
    runs = requests.get(f"{url}/api/projects/{name}/snapshots", timeout=10)
    assert runs.ok, runs.text
    assert len(runs.json()) == {"flights": 5, "rain": 1}[projects[0]["name"]]
