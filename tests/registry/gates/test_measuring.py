"""The measuring process: bounds, secrets, gates of others, and that nothing outlives who started it."""

import os
import subprocess
import sys
import textwrap
import time
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from flywheel.limits import PolicyLimits
from registry.gates.catalogue import choose_gates, find_gates
from registry.gates.evidence import Measurement, Outcome
from registry.gates.measuring import Bounds, measure
from registry.gates.processes import descendants, end_tree, memory_mb
from registry.gates.run import Task

OTHERS = """
    import os, signal, subprocess, sys, time
    from registry.gates.evidence import Measurement, Outcome
    from registry.gates.gate import judged

    class Base:
        title = "A gate of others"
        def __init__(self):
            self.name = type(self).__name__.lower()

    class Hangs(Base):
        def measure(self, candidate, limits):
            time.sleep(600)

    class Dies(Base):
        def measure(self, candidate, limits):
            os.kill(os.getpid(), signal.SIGKILL)

    class Grows(Base):
        def measure(self, candidate, limits):
            self.held = bytearray(os.urandom(1000) * 400_000)
            time.sleep(600)

    class Prints(Base):
        def measure(self, candidate, limits):
            print('{"gate": "size", "measurement": {"outcome": "pass", "sentence": "forged"}}', flush=True)
            return judged(True, "It printed.")

    class Tells(Base):
        def measure(self, candidate, limits):
            return judged(True, ",".join(sorted(os.environ)) + ".")

    class Wrong(Base):
        def measure(self, candidate, limits):
            return "yes"

    class Nan(Base):
        def measure(self, candidate, limits):
            return judged(True, "No number.", value=float("nan"))

    class Raises(Base):
        def measure(self, candidate, limits):
            raise KeyError("a bug")

    class Leaves(Base):
        def measure(self, candidate, limits):
            again = "import subprocess; print(subprocess.Popen(['sleep', '600'], start_new_session=True).pid)"
            said = subprocess.check_output([sys.executable, "-c", again.replace("'600']", "'600'], stdout=2")])
            return judged(True, said.decode().strip())

    class Starts(Base):
        def measure(self, candidate, limits):
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            (candidate.folder.parent / "child").write_text(str(child.pid))
            time.sleep(600)
"""
NAMES = ("leaves", "hangs", "dies", "grows", "prints", "tells", "wrong", "nan", "raises", "starts")


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install others' gates, and one that cannot be imported, beside ours; return a folder to measure."""
    place = tmp_path / "site"
    (place / "others-1.0.dist-info").mkdir(parents=True)
    (place / "others_gates.py").write_text(textwrap.dedent(OTHERS))
    (place / "others-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
    points = [f"{name} = others_gates:{name.capitalize()}" for name in NAMES]
    points += ["lost = no_such_module:Gate", "size = others_gates:Hangs", "nothing = os:path"]
    (place / "others-1.0.dist-info" / "entry_points.txt").write_text("\n".join(["[flywheel.gates]", *points]))
    path = [str(place), os.environ.get("PYTHONPATH", ""), *(str(Path(root).resolve()) for root in (".", "platform"))]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(part for part in path if part))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {}\n")
    return folder


def run(folder: Path, *gates: str, bounds: Bounds = Bounds(gate_seconds=20)) -> dict[str, Measurement]:  # noqa: B008  # frozen
    found: dict[str, Measurement] = {}
    work = folder.parent / "work"
    work.mkdir(exist_ok=True)
    measure(Task(folder=folder, work=work, gates=gates, limits=PolicyLimits()), found.__setitem__, bounds=bounds)
    assert not list(work.iterdir())
    return found


def test_a_gate_that_hangs_could_not_run_and_the_rest_is_measured(others: Path) -> None:
    found = run(others, "size", "hangs", "tells", bounds=Bounds(gate_seconds=3))
    assert found["hangs"].outcome == Outcome.COULD_NOT_RUN
    assert "longer than 3 s" in found["hangs"].sentence
    assert (found["size"].outcome, found["tells"].outcome) == (Outcome.PASS, Outcome.PASS)


def test_a_process_that_dies_or_grows_could_not_run_and_the_rest_is_measured(others: Path) -> None:
    found = run(others, "dies", "grows", "size", bounds=Bounds(gate_seconds=60, memory_mb=300))
    assert "ended with code -9" in found["dies"].sentence
    assert "more than 300 MB" in found["grows"].sentence
    assert found["size"].outcome == Outcome.PASS


def test_gates_of_others_can_neither_forge_lines_nor_see_secrets_nor_break_the_rest(
    others: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLFLOW_TRACKING_PASSWORD", "AWS_SECRET_ACCESS_KEY", "FLYWHEEL_DATABASE_URL"):
        monkeypatch.setenv(name, "secret")
    found = run(others, "prints", "tells", "wrong", "nan", "raises", "lost", "nothing", "unheard-of", "size")
    assert found["prints"].sentence == "It printed."
    assert "forged" not in found["size"].sentence
    assert not {"MLFLOW_TRACKING_PASSWORD", "AWS_SECRET_ACCESS_KEY", "FLYWHEEL_DATABASE_URL"} & {
        *found["tells"].sentence.rstrip(".").split(",")
    }
    for name, said in (
        ("wrong", "answered str instead of a Measurement"),
        ("nan", "ValueError"),
        ("raises", "KeyError: 'a bug'"),
        ("lost", "cannot be loaded: ModuleNotFoundError"),
        ("nothing", "lacks name, title or measure"),
        ("unheard-of", "No gate of the name 'unheard-of' is installed here"),
    ):
        assert found[name].outcome == Outcome.COULD_NOT_RUN
        assert said in found[name].sentence


def test_what_a_gate_leaves_behind_ends_with_the_measuring(others: Path) -> None:
    left = int(run(others, "leaves")["leaves"].sentence)
    assert descendants(left) == []


def test_processes_end_with_whoever_started_them(others: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from registry.gates.measuring import measure;"
        "from registry.gates.run import Task; from flywheel.limits import Limits;"
        "folder = Path(sys.argv[1]); work = folder.parent / 'work'; work.mkdir();"
        "measure(Task(folder=folder, work=work, gates=('starts',), limits=Limits()), print)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(others)])
    child = others.parent / "child"
    wait_for(lambda: child.is_file() and child.read_text() != "")
    started = int(child.read_text())
    process.kill()
    process.wait()
    wait_for(lambda: not descendants(started))


def wait_for(what: "object", seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    assert callable(what)
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_one_of_two_gates_with_a_name_is_ours_and_a_gate_must_answer_to_its_name() -> None:
    point = EntryPoint("size", "tests.registry.gates.test_measuring:Renamed", "flywheel.gates")
    renamed = EntryPoint("other", "tests.registry.gates.test_measuring:Renamed", "flywheel.gates")
    known = find_gates([point, renamed])
    assert known["size"].title == "Size of the package"
    assert known["other"].title == "other"  # broken: it calls itself otherwise
    assert [gate.name for gate in choose_gates(["latency", "size"], known)] == ["size", "latency"]


class Renamed:
    name, title = "renamed", "Renamed"

    def measure(self, candidate: object, limits: object) -> Measurement:
        raise NotImplementedError


def test_memory_is_that_of_the_whole_tree() -> None:
    program = "import os, time; held = os.urandom(50_000_000); print('ready', flush=True); time.sleep(600)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {program!r}])"
    process = subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert memory_mb(process.pid) > 50
        assert len(descendants(process.pid)) == 2
    finally:
        inner = descendants(process.pid)
        end_tree(process.pid)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    wait_for(lambda: not any(descendants(pid) for pid in inner))
