"""Versions that cannot start, on a real supervisor with real workers: the reason in a sentence, and the log's tail."""

import pytest

from deploy.logs import version_logs
from deploy.loop.interfaces import Condition, Readiness
from flywheel.errors import SpecError
from flywheel.rollbacks import Cause, in_one_line
from tests.deploy.conftest import wait_for
from tests.deploy.local.conftest import House, settled


def test_a_model_that_raises_at_load_ends_with_what_it_raised(house: House) -> None:
    served = house.version("1", code='raise RuntimeError("weights are not there")')
    found = settled(house.target(), served)
    assert found.readiness is Readiness.FAILED
    assert found.reason.startswith("scorer-tiny-v1 ended by itself")
    assert "The end of its log:" in found.reason
    assert "weights are not there" in found.reason


def test_a_model_that_raises_at_its_first_prediction_never_becomes_ready(house: House) -> None:
    code = 'def fails(self, context, model_input, params=None):\n    raise RuntimeError("no such column")\n'
    served = house.version("1", code=code + "Echo.predict = fails\n")
    found = settled(house.target(), served)
    assert found.readiness is Readiness.FAILED
    assert found.reason.startswith("The package's example cannot be scored: The scorer answered ")
    assert "no such column" in found.reason


def test_an_agent_over_its_memory_limit_is_killed_and_the_limit_is_told(house: House) -> None:
    house.serve(resources={"agent": {"memory_mb": 16}})
    found = settled(house.target(), house.version("1"))
    assert found.readiness is Readiness.FAILED
    assert "Killed at its limit: it took" in found.reason
    assert "resources.agent.memory_mb in serving.yaml allows 16 MB" in found.reason


def test_a_version_that_serves_goes_on_when_the_environment_it_should_move_to_cannot_be_built(house: House) -> None:
    served = house.version("1", python="3.2.9")
    target = house.target()
    assert settled(target, served).readiness is Readiness.READY
    before = house.pids()
    house.serve(env_manager="virtualenv")
    seen: list[Condition] = []

    def told() -> bool:
        seen.append(target.ensure(served))
        return "cannot be built" in seen[-1].serving["why"]

    wait_for(told, "the reason")
    assert {one.readiness for one in seen} == {Readiness.READY}
    assert house.pids() == before


def test_an_environment_whose_index_is_down_says_how_to_try_again_and_speaks_not_against_the_version(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    house.serve(env_manager="uv")
    found = settled(house.target(), house.version("1"))
    assert (found.readiness, found.cause) == (Readiness.FAILED, Cause.ENVIRONMENT)
    brief = in_one_line(found.reason)
    assert brief.startswith("The environment of tiny version 1 cannot be built: ")
    assert "approved anew" in brief
    assert brief.endswith("train a new version.")
    assert found.serving["why"] == found.reason
    assert [path.stem[:12] for path in version_logs(house.settings.root, "tiny", "1")] == ["environment-"]


def test_more_replicas_than_the_machine_holds_are_refused_whoever_reads_the_file(house: House) -> None:
    served = house.version("1")
    target = house.target()
    assert settled(target, served).readiness is Readiness.READY
    before = house.pids()
    house.serve(replicas=100_000)
    with pytest.raises(SpecError, match="tiny: 100000 replicas and 1 workers of one version need about"):
        target.ensure(served)
    assert house.pids() == before
