"""Building environments without an index: locks that need nothing, locks that cannot be had, builders that die."""

import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.local.building import READY, is_whole
from deploy.local.environments import (
    AGAIN_SECONDS,
    GONE,
    TIDY_SECONDS,
    UNUSED_SECONDS,
    Environment,
    Environments,
    State,
)
from deploy.local.locks import environment_digest
from flywheel.settings import Settings
from tests.deploy.conftest import ENVIRONMENT, ROOT, wait_for

HOLDER = """
import subprocess, sys
from pathlib import Path
from deploy.local.building import locked
with locked(Path(sys.argv[1])) as held:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=sys.stdin, pass_fds=(held,))
    print(child.pid, flush=True)
    child.wait()
"""


def package(folder: Path, python: str = platform.python_version(), *needs: str) -> Path:
    """Write a lock as MLflow does: an interpreter and requirements."""
    folder.mkdir()
    (folder / "python_env.yaml").write_text(f"python: {python}\ndependencies:\n- -r requirements.txt\n")
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in needs))
    return folder


@pytest.fixture
def environments(tmp_path: Path) -> Environments:
    return Environments(Settings(home=tmp_path / "home"))


def built(environments: Environments, folder: Path, version: str, manager: str = "virtualenv") -> Environment:
    digest, found = environment_digest(folder, "virtualenv"), list[Environment]()

    def done() -> bool:
        found.append(environments.poll(digest, folder, manager, version))
        return found[-1].state is not State.BUILDING

    wait_for(done, "the end of a build")
    return found[-1]


@pytest.mark.parametrize("manager", ["uv", "virtualenv"])
def test_an_environment_is_whole_before_it_is_ready_and_is_built_once(
    environments: Environments, tmp_path: Path, manager: str
) -> None:
    folder = package(tmp_path / "package")
    found = built(environments, folder, "tiny version 1", manager)
    assert found.state is State.READY
    python = environments.python(found.digest)
    said = subprocess.run([python, "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == str(tmp_path / "home" / "environments" / found.digest)
    made = python.lstat().st_mtime_ns
    assert is_whole(python.parent.parent)
    again = Environments(Settings(home=tmp_path / "home"))
    assert again.poll(found.digest, folder, manager, "tiny version 2").state is State.READY
    assert python.lstat().st_mtime_ns == made
    python.unlink()
    python.symlink_to("an interpreter that has been removed")
    assert built(again, folder, "tiny version 2", manager).state is State.READY  # made anew
    assert is_whole(python.parent.parent)


def test_a_lock_that_cannot_be_had_is_told_once_and_tried_again_for_another_version_or_much_later(
    tmp_path: Path,
) -> None:
    times = [time.monotonic()]
    environments = Environments(Settings(home=tmp_path / "home"), lambda: times[-1])
    folder = package(tmp_path / "package", "3.2.9")
    found = built(environments, folder, "tiny version 1")
    assert found.state is State.FAILED
    assert found.reason.startswith(
        "The environment of tiny version 1 cannot be built: Python 3.2.9, which the version's"
    )
    assert environments.poll(found.digest, folder, "virtualenv", "tiny version 1") == found
    for version in ("tiny version 2", "tiny version 3"):  # which wait for the same build
        assert environments.poll(found.digest, folder, "virtualenv", version).state is State.BUILDING
    for version in ("tiny version 2", "tiny version 3"):
        assert built(environments, folder, version).reason == found.reason.replace("tiny version 1", version)
    times.append(times[-1] + AGAIN_SECONDS + 1)
    assert environments.poll(found.digest, folder, "virtualenv", "tiny version 1").state is State.BUILDING
    assert built(environments, folder, "tiny version 1").state is State.FAILED


def test_a_package_without_a_lock_is_refused_in_a_sentence(environments: Environments, tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    found = built(environments, tmp_path / "package", "tiny version 1")
    assert found.state is State.FAILED
    assert "python_env.yaml cannot be used" in found.reason


def test_the_same_lock_is_the_same_environment_and_any_other_is_another(tmp_path: Path) -> None:
    one, same = package(tmp_path / "one"), package(tmp_path / "same")
    (one / "weights").write_text("these are not the environment's business")
    other = package(tmp_path / "other", platform.python_version(), "packaging==26.0")
    bound = package(tmp_path / "bound")
    (bound / "artifacts" / "package").mkdir(parents=True)
    (bound / "artifacts" / "package" / "requirements.lock").write_text("packaging==26.0\n")
    assert environment_digest(one, "uv") == environment_digest(same, "uv")
    different = [environment_digest(folder, "uv") for folder in (one, other, bound)]
    assert len({*different, environment_digest(one, "virtualenv")}) == 4


def test_a_wheel_of_the_package_itself_is_part_of_its_lock(tmp_path: Path) -> None:
    one, two = (package(tmp_path / name, "3.11.7", "wheels/own-1.0-py3-none-any.whl") for name in ("one", "two"))
    for folder, content in ((one, b"one"), (two, b"two")):
        (folder / "wheels").mkdir()
        (folder / "wheels" / "own-1.0-py3-none-any.whl").write_bytes(content)
    assert environment_digest(one, "uv") != environment_digest(two, "uv")


def test_what_a_killed_builder_left_running_is_waited_for_and_what_it_left_lying_is_cleaned(
    environments: Environments, tmp_path: Path
) -> None:
    folder, root = package(tmp_path / "package"), tmp_path / "home" / "environments"
    digest = environment_digest(folder, "virtualenv")
    (root / digest).mkdir(parents=True)
    (root / digest / "half").write_text("made")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(root / f"{digest}.lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
        cwd=ROOT,
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        holder.kill()
        holder.wait()
        assert environments.poll(digest, folder, "virtualenv", "tiny version 1").state is State.BUILDING
        # The builder waits: it has been started, and the child of the killed one still holds the lock.
        wait_for(lambda: _somebody_waits_for(root / f"{digest}.lock"), "the builder's wait")
        assert (root / digest / "half").exists()
        os.kill(child, signal.SIGKILL)
    assert built(environments, folder, "tiny version 1").state is State.READY
    assert not (root / digest / "half").exists()


def test_what_nobody_uses_for_a_day_goes_and_what_is_used_stays(tmp_path: Path) -> None:
    times = [time.monotonic()]
    environments, root = Environments(Settings(home=tmp_path), lambda: times[-1]), tmp_path / "environments"
    long_ago = time.time() - UNUSED_SECONDS - 60
    for name, whole, at in (("used", True, long_ago), ("old", True, long_ago), ("half", False, long_ago)):
        _make(root / name, whole=whole, at=at)
    _make(root / "young", whole=True, at=time.time())
    _make(root / f"gone{GONE}", whole=False, at=time.time())
    (root / "used.lock").touch()
    environments.tidy({"used", ""})
    wait_for(lambda: {path.name for path in root.iterdir()} == {"used", "young", "used.lock"}, "the removal")
    os.utime(root / "young" / READY, (long_ago, long_ago))
    environments.tidy({"used"})
    assert (root / "young").exists()  # it looks once a minute
    times.append(times[-1] + TIDY_SECONDS + 1)
    environments.tidy({"used"})
    wait_for(lambda: not (root / "young").exists(), "the removal")
    assert time.time() - (root / "used" / READY).stat().st_mtime < 60


def _make(folder: Path, *, whole: bool, at: float) -> None:
    folder.mkdir(parents=True)
    if whole:
        (folder / READY).write_text(json.dumps({}))
        os.utime(folder / READY, (at, at))
    os.utime(folder, (at, at))


def _somebody_waits_for(lock: Path) -> bool:
    ending = f":{lock.stat().st_ino} 0 EOF"
    return any("->" in line and line.endswith(ending) for line in Path("/proc/locks").read_text().splitlines())
