"""Several processes on one study, on a real Postgres: nothing is lost or done twice, whoever is killed and when."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from flywheel.errors import DataError, StackError, UsageError
from flywheel.usecase import UseCase
from tests.training.database import Database
from tests.training.tiny_dataset import planned, usecase, write
from training.data.dataset import Dataset
from training.search.budget import is_settled
from training.search.plan import Warm
from training.search.search import search
from training.search.storage import open_storage
from training.search.worker import join

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PATIENCE = 60  # seconds until a process must have done what is waited for


@pytest.fixture(scope="module")
def server() -> Iterator[Database]:
    database = Database()
    yield database
    database.close()


@pytest.fixture
def url(server: Database) -> str:
    """Return the address of the database without any study."""
    for study in optuna.get_all_study_names(open_storage(server.url)):
        optuna.delete_study(study_name=study, storage=server.url)
    return server.url


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GATE", str(tmp_path))
    return tmp_path


def environment(gate: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}", "GATE": str(gate), **more}


@contextmanager
def searching(gate: Path, url: str, workers: int, trials: int) -> Iterator[subprocess.Popen[str]]:
    """Run a search in a process of its own."""
    command = [sys.executable, "-m", "tests.training.search.run_search", str(gate), url, str(workers), str(trials)]
    with ExitStack() as stack:
        process = subprocess.Popen(command, cwd=ROOT, env=environment(gate), stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        stack.callback(process.stdout.close)
        stack.callback(process.wait)
        stack.callback(process.kill)
        yield process


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def fits(gate: Path) -> list[tuple[int, float]]:
    """Return process and parameter of each fit that was begun."""
    path = gate / "log"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(line.split()[0]), float(line.split()[1])) for line in lines]


def processes(gate: Path) -> set[int]:
    return {pid for pid, _ in fits(gate)}


def trials(url: str) -> list[FrozenTrial]:
    return optuna.load_study(study_name=None, storage=url).trials


def result(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    last: dict[str, Any] = json.loads(output.splitlines()[-1])
    return last


def assert_each_done_once(url: str, budget: int) -> None:
    settled = [trial for trial in trials(url) if is_settled(trial)]
    assert len(settled) == budget
    values = Counter(trial.params["gated.p"] for trial in settled)
    assert set(values.values()) == {1}


def test_two_workers_share_a_budget_exactly(url: str, gate: Path) -> None:
    (gate / "hold").touch()
    with searching(gate, url, workers=2, trials=9) as process:
        until(lambda: len(processes(gate)) == 2, "both to fit")
        (gate / "hold").unlink()
        assert result(process)["trials"] == 9
    assert_each_done_once(url, 9)
    assert not any(trial.state == TrialState.RUNNING for trial in trials(url))


def test_a_killed_workers_trial_goes_to_another_with_its_parameters(url: str, gate: Path) -> None:
    (gate / "hold").touch()
    with searching(gate, url, workers=2, trials=5) as process:
        until(lambda: len(processes(gate)) == 2, "both to fit")
        (victim,) = processes(gate) - {process.pid}
        os.kill(victim, signal.SIGKILL)
        (killed,) = [p for pid, p in fits(gate) if pid == victim]
        (gate / "hold").unlink()
        assert result(process)["trials"] == 5
    assert_each_done_once(url, 5)
    assert [p for _, p in fits(gate)].count(killed) == 2
    assert killed in [trial.params["gated.p"] for trial in trials(url) if is_settled(trial)]


def test_a_killed_search_takes_its_workers_along_and_the_next_one_goes_on(url: str, gate: Path) -> None:
    (gate / "hold").touch()
    with searching(gate, url, workers=2, trials=6) as process:
        until(lambda: len(processes(gate)) == 2, "both to fit")
        begun = fits(gate)
        (other,) = processes(gate) - {process.pid}
        process.kill()
        process.wait()
        (gate / "hold").unlink()
        until(lambda: not Path(f"/proc/{other}").exists(), "the worker to end with its search")
    with searching(gate, url, workers=1, trials=6) as process:
        assert result(process)["trials"] == 6
    assert_each_done_once(url, 6)
    settled = [trial.params["gated.p"] for trial in trials(url) if is_settled(trial)]
    assert {p for _, p in begun} <= set(settled)


def test_an_interrupt_ends_search_and_workers(url: str, gate: Path) -> None:
    (gate / "hold").touch()
    with searching(gate, url, workers=2, trials=6) as process:
        until(lambda: len(processes(gate)) == 2, "both to fit")
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
        assert process.returncode != 0
        assert not [pid for pid in processes(gate) if Path(f"/proc/{pid}").exists()]
    (gate / "hold").unlink()
    with searching(gate, url, workers=1, trials=6) as process:
        assert result(process)["trials"] == 6
    assert_each_done_once(url, 6)


def test_a_database_that_is_killed_and_comes_back_is_waited_for(server: Database, url: str, gate: Path) -> None:
    (gate / "hold").touch()
    with searching(gate, url, workers=2, trials=6) as process:
        until(lambda: len(processes(gate)) == 2, "both to fit")
        server.stop()
        (gate / "hold").unlink()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2.5)  # longer than a heartbeat's grace
        server.start()
        assert result(process)["trials"] == 6
    assert_each_done_once(url, 6)


def test_a_database_that_stays_away_is_one_sentence_and_the_search_can_go_on(
    server: Database, url: str, gate: Path, tmp_path: Path
) -> None:
    case = usecase(families=["gated_family.py"])
    dataset = write(tmp_path, case)
    plan = planned(HERE, case, dataset, trials=4, patience=0.5)

    def stop(_trial: object) -> None:
        server.stop()

    try:
        with pytest.raises(StackError, match=r"went away and did not answer again within 0 s.*run the same"):
            search(planned(HERE, case, dataset, trials=400, patience=0.5), dataset, url, stop)
    finally:
        server.start()
    before = len(fits(gate))
    assert before < 400
    done = sum(map(is_settled, trials(url)))
    found = search(planned(HERE, case, dataset, trials=done + 2), dataset, url, lambda _: None)
    assert len(found.trials) == done + 2
    assert found.study == plan.study


def prepared(dataset: Dataset) -> Callable[[UseCase, Path, datetime], Dataset]:
    return lambda usecase, path, as_of: dataset


def test_a_worker_from_elsewhere_joins_with_data_of_its_own(
    url: str, gate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = usecase(families=["gated_family.py"])
    dataset = write(tmp_path / "here", case)
    plan = planned(HERE, case, dataset, trials=3)
    search(plan, dataset, url, lambda _: None)
    optuna.load_study(study_name=plan.study, storage=url).set_user_attr("host", "another machine")
    study = optuna.load_study(study_name=plan.study, storage=url)
    study.set_user_attr("plan", {**plan.document(), "trials": 5})
    asked: list[datetime] = []

    def prepare(usecase: UseCase, path: Path, as_of: datetime) -> Dataset:
        asked.append(as_of)
        return write(tmp_path / "there", case)

    assert join(plan.study, case, HERE / "usecase.yaml", url, prepare_dataset=prepare, threads=1) == 2
    assert asked == [plan.as_of]
    assert_each_done_once(url, 5)


def test_a_worker_that_does_not_belong_is_refused(url: str, gate: Path, tmp_path: Path) -> None:
    case = usecase(families=["gated_family.py"])
    dataset, other = write(tmp_path / "a", case), write(tmp_path / "b", case, count=501)
    plan = planned(HERE, case, dataset, trials=1, warm=Warm("gated", {"p": 0.4}))
    search(plan, dataset, url, lambda _: None)
    optuna.load_study(study_name=plan.study, storage=url).set_user_attr("host", "another machine")
    path = HERE / "usecase.yaml"
    with pytest.raises(DataError, match=r"The data here is not that of study 'tiny/.*' \(sha256:.* instead of sha256:"):
        join(plan.study, case, path, url, prepare_dataset=prepared(other), threads=1)
    with pytest.raises(UsageError, match="Study 'unknown' is not in postgresql"):
        join("unknown", case, path, url, prepare_dataset=prepared(dataset), threads=1)
    renamed = case.model_copy(update={"name": "other"})
    with pytest.raises(UsageError, match=r"searches for use case 'tiny', and .* is 'other'"):
        join(plan.study, renamed, path, url, prepare_dataset=prepared(dataset), threads=1)


def test_workers_on_the_same_machine_use_the_searchs_own_arrays(url: str, gate: Path, tmp_path: Path) -> None:
    case = usecase(families=["gated_family.py"])
    dataset = write(tmp_path, case)
    plan = planned(HERE, case, dataset, trials=1)
    search(plan, dataset, url, lambda _: None)

    def prepare(usecase: UseCase, path: Path, as_of: datetime) -> Dataset:
        raise AssertionError("the arrays are there")

    assert join(plan.study, case, HERE / "usecase.yaml", url, prepare_dataset=prepare, threads=1) == 0


def test_a_worker_imports_no_mlflow() -> None:
    code = "import sys, training.search.worker; sys.exit('mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(ROOT), check=False)
    assert done.returncode == 0
