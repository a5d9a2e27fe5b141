"""The chain champion → previous → declared default, at a real gateway before real agents that are killed."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from deploy.agent.grpc.service import NAME
from deploy.gateway.arms import arm_counts
from deploy.gateway.traffic import Backend, Replica, Split
from tests.deploy.agent.grpc.test_service import typed
from tests.deploy.conftest import RunningAgent, free_port, row
from tests.deploy.gateway.house import House, house, until

Start = Callable[..., RunningAgent]
BODY = json.dumps({"dataframe_records": [row()]}).encode()
DECLARED = ("--backend", "constant", "--answer", "0.5")


@dataclass(frozen=True)
class Answered:
    """What a client was told."""

    status: int
    version: str | None
    fallback: str | None
    probability: float
    prediction_id: str | None


def ask(home: House, number: int = 0) -> Answered:
    status, body, headers = home.ask(
        "/tiny/invocations", BODY, None, content_type="application/json", x_request_id=f"r-{number}"
    )
    probability = body["predictions"][0]["probability"] if status == 200 else -1.0
    version, fallback = headers["x-flywheel-version"], headers["x-flywheel-fallback"]
    return Answered(status, version, fallback, probability, headers["x-flywheel-prediction-id"])


def backend_of(agent: RunningAgent, version: str) -> Backend:
    return Backend("tiny", version, (Replica(int(agent.url.rpartition(":")[2])),))


def kill(agent: RunningAgent) -> None:
    agent.process.kill()
    agent.process.wait()


@contextmanager
def asking(home: House) -> Iterator[list[Answered]]:
    """Have four clients ask all the time; return what they were answered."""
    found: list[Answered] = []
    done, numbers = threading.Event(), iter(range(1 << 30))

    def run() -> None:
        while not done.is_set():
            found.append(ask(home, next(numbers)))

    with ThreadPoolExecutor(4) as clients:
        running = [clients.submit(run) for _ in range(4)]
        try:
            yield found
        finally:
            done.set()
    for one in running:
        one.result()


@dataclass
class Chain:
    """Agents of champion (3), previous (2) and the default, and a canary (4)."""

    agents: dict[str, RunningAgent]

    @property
    def split(self) -> Split:
        backends = {version: backend_of(agent, version) for version, agent in self.agents.items()}
        challengers = ((backends["4"], 50),) if "4" in backends else ()
        rollout = "r" if challengers else None
        return Split(backends["3"], challengers, rollout, 0.0, backends["2"], backends["default"])

    def records(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """Return the record of each prediction and the version whose agent wrote it."""
        return {
            record["prediction_id"]: (version, record)
            for version, agent in self.agents.items()
            for record in agent.records()
        }


@pytest.fixture
def chain(start_agent: Start, tiny_scorer: str) -> Chain:
    agents = {version: start_agent(tiny_scorer, version=version) for version in ("3", "2")}
    return Chain({**agents, "default": start_agent("", version="default", options=DECLARED)})


def test_when_all_agents_die_one_after_the_other_the_next_answers_flagged_and_recorded_and_nothing_fails(
    chain: Chain, tmp_path: Path
) -> None:
    with house(tmp_path, "{}") as home:
        home.route(chain.split)
        with asking(home) as found:
            until(lambda: len(found) > 50)
            kill(chain.agents["3"])
            until(lambda: [one.version for one in found[-20:]] == ["2"] * 20)
            kill(chain.agents["2"])
            until(lambda: [one.version for one in found[-20:]] == ["default"] * 20)
        assert {one.status for one in found} == {200}
        roles = {"3": (None, 0.25), "2": ("previous", 0.25), "default": ("default", 0.5)}
        assert {(one.version, (one.fallback, one.probability)) for one in found} == set(roles.items())
        records = chain.records()
        for one in found:
            assert one.prediction_id is not None
            version, record = records[one.prediction_id]
            assert version == record["model_version"] == one.version
            assert record["status"] == "scored"
            assert ("fallback" in record["flags"]) is (one.version != "3")


def test_a_canary_is_stood_in_for_by_all_in_turn_and_its_failures_stay_its_own(
    chain: Chain, start_agent: Start, tiny_scorer: str, tmp_path: Path
) -> None:
    chain.agents["4"] = start_agent(tiny_scorer, version="4")
    with house(tmp_path, "{}") as home:
        home.route(chain.split)
        with asking(home) as found:
            until(lambda: {one.version for one in found} == {"3", "4"})
            for dead, left in (("4", {"3"}), ("3", {"2"}), ("2", {"default"})):
                kill(chain.agents[dead])
                until(lambda left=left: {one.version for one in found[-40:]} == left)  # type: ignore[misc]
        assert {one.status for one in found} == {200}
        drawn = {arm for version, record in chain.records().values() if version == "default" for arm in [record["arm"]]}
        assert drawn == {"champion", "challenger"}
        counts = arm_counts(chain.split, home.admin.counts())
        assert counts["challenger"].errors > 0
        answered = [record for version, record in chain.records().values() if version == "4"]
        assert len(answered) <= counts["challenger"].requests <= len(answered) + counts["challenger"].errors


def test_a_request_gets_from_the_canary_to_the_default_though_nobody_knows_yet_that_all_are_dead(
    chain: Chain, start_agent: Start, tiny_scorer: str, tmp_path: Path
) -> None:
    chain.agents["4"] = start_agent(tiny_scorer, version="4")
    with house(tmp_path, "{}") as home:
        home.route(replace(chain.split, challengers=((backend_of(chain.agents["4"], "4"), 99),)))
        assert {ask(home).status for _ in range(5)} == {200}
        for version in ("4", "3", "2"):
            kill(chain.agents[version])
        found = [ask(home, number) for number in range(20)]
        assert {(one.status, one.version, one.fallback) for one in found} == {(200, "default", "default")}
        attempts = [record["attempt"] for version, record in chain.records().values() if version == "default"]
        assert max(attempts) == 4


def test_what_one_agent_of_the_champion_loses_another_of_its_own_answers(
    chain: Chain, start_agent: Start, tiny_scorer: str, tmp_path: Path
) -> None:
    other = start_agent(tiny_scorer, version="3")
    split = chain.split
    both = Backend("tiny", "3", (*split.champion.replicas, *backend_of(other, "3").replicas))
    with house(tmp_path, "{}") as home:
        home.route(Split(both, previous=split.previous, default=split.default))
        with asking(home) as found:
            until(lambda: len(found) > 50)
            kill(other)
            until(lambda: home.health(both.replicas[1].http) != "healthy")
            seen = len(found)
            until(lambda: len(found) > seen + 100)
        assert {(one.status, one.version, one.fallback) for one in found} == {(200, "3", None)}


def test_a_grpc_caller_is_told_of_the_fallback_as_well(start_agent: Start, tiny_scorer: str, tmp_path: Path) -> None:
    ports = {version: free_port() for version in ("3", "2", "default")}
    options = {version: ("--grpc-port", str(port)) for version, port in ports.items()}
    agents = {version: start_agent(tiny_scorer, version=version, options=options[version]) for version in ("3", "2")}
    agents["default"] = start_agent("", version="default", options=(*DECLARED, *options["default"]))
    third, second, default = (
        Backend("tiny", version, (replace(backend_of(agent, version).replicas[0], grpc=ports[version]),))
        for version, agent in agents.items()
    )

    def told() -> tuple[str, str | None]:
        _, call = infer.with_call(typed(1).SerializeToString(), timeout=20)
        trailing = dict(call.trailing_metadata())
        return str(trailing["x-flywheel-version"]), trailing.get("x-flywheel-fallback")

    with house(tmp_path, "{}") as home, grpc.insecure_channel(f"127.0.0.1:{home.ports.gateway}") as channel:
        home.route(Split(third, previous=second, default=default))
        infer: Any = channel.unary_unary(f"/{NAME}/ModelInfer")
        found = [told()]
        for version in ("3", "2"):
            kill(agents[version])
            found.append(told())
    assert found == [("3", None), ("2", "previous"), ("default", "default")]
    assert [record["flags"][-1] for record in agents["default"].records()] == ["fallback"]
