"""Environments from locks, with uv and the package index that it is configured for."""

import subprocess

import pytest

from deploy.local.target import Told
from deploy.loop.interfaces import Readiness
from deploy.shares import Share
from tests.deploy.conftest import wait_for
from tests.deploy.gateway.test_gateway import Site
from tests.deploy.local.conftest import House, answered_by, settled

SMALL = "inflection"  # a package of one module, which this project does not need
SMALL_LOCK = f"mlflow==3.17.2\n{SMALL}==0.5.1\n"


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip where no index can be reached."""
    target = tmp_path_factory.mktemp("probe")
    command = ["uv", "pip", "install", "--no-deps", "--no-cache", "--target", str(target), f"{SMALL}==0.5.1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        pytest.skip(f"no package index can be reached: {done.stderr.strip().splitlines()[-1]}")


@pytest.mark.usefixtures("index")
def test_two_versions_with_one_lock_share_one_environment_in_which_their_workers_run(house: House) -> None:
    house.serve(env_manager="uv")
    one = house.version("1", code=f"import {SMALL}", requirements=SMALL_LOCK)
    two = house.version("2", code=f"import {SMALL}", requirements=SMALL_LOCK)
    target = house.target()
    assert "being built with uv" in target.ensure(one).serving["why"]
    assert settled(target, one).readiness is Readiness.READY
    assert "being built" not in target.ensure(two).serving["why"]
    assert settled(target, two).readiness is Readiness.READY
    environments = [path for path in (house.settings.root / "environments").iterdir() if path.is_dir()]
    assert len(environments) == 1
    for served in (one, two):
        assert house.python(f"scorer-tiny-v{served.version}") == str(environments[0] / "bin" / "python")


@pytest.mark.usefixtures("index")
def test_a_lock_that_cannot_be_installed_fails_the_version_and_leaves_nothing(house: House) -> None:
    house.serve(env_manager="uv")
    served = house.version("1", requirements="mlflow==3.17.2\nno-such-package-of-flywheel==1.0\n")
    found = settled(house.target(), served)
    assert found.readiness is Readiness.FAILED
    assert found.reason.startswith("The environment of tiny version 1 cannot be built: error: No solution found")
    assert "no-such-package-of-flywheel was not found in the package registry" in found.reason
    assert [path for path in (house.settings.root / "environments").iterdir() if path.is_dir()] == []
    assert house.programs() == set()


@pytest.mark.usefixtures("index")
def test_a_version_that_serves_moves_to_an_environment_without_missing_a_request(
    gated_house: tuple[House, Site],
) -> None:
    house, site = gated_house
    served = house.version("1")
    target = house.target()
    assert settled(target, served).readiness is Readiness.READY
    wait_for(lambda: "tiny" in target.route([Share(served)]), "the route")
    target = house.target(Told("uv"))

    def moved() -> bool:
        assert target.ensure(served).readiness is Readiness.READY
        target.route([Share(served)])
        assert answered_by(site) == "1"
        target.retire({served})
        return house.programs() == {"scorer-tiny-v1-2", "agent-tiny-v1-2"}

    wait_for(moved, "the move", 170)
    assert house.python("scorer-tiny-v1-2").startswith(str(house.settings.root / "environments"))
    house.target().ensure(served)  # who is not told anything leaves it as it is
    assert house.programs() == {"scorer-tiny-v1-2", "agent-tiny-v1-2"}
