"""The section `Serving` with real agents: what they answer is shown, and who does not answer is named."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client import start_http_server

from deploy.agent.limits import Limits
from deploy.agent.spool import Spool
from deploy.desired import Served
from deploy.exporter import Exporter
from deploy.gateway.routes import route_document
from deploy.gateway.traffic import Backend, Replica, Split
from deploy.local.choice import Choice
from deploy.local.places import Agent, Place, Places, Role
from deploy.local.programs import exporter_program
from deploy.loop.passes import Passes
from deploy.status.recent import Recent
from deploy.status.section import NOTHING, serving
from flywheel.settings import Settings
from flywheel.stack.processes import record
from flywheel.stack.supervisor import write_program
from flywheel.textfile import Textfile, textfile_path
from tests.deploy.conftest import RunningAgent, free_port, row
from tests.deploy.tiny_contract import CONTRACT

StartAgent = Callable[..., RunningAgent]
CHOICE = Choice("mlflow", "mlflow", "serving.yaml asks for MLflow's worker.")


def ask(agent: RunningAgent, arm: str, times: int, body: bytes | None = None) -> None:
    content = body or json.dumps({"dataframe_records": [row()]}, default=str).encode()
    for _ in range(times):
        headers = {"content-type": "application/json", "x-flywheel-arm": arm}
        request = urllib.request.Request(f"{agent.url}/invocations", content, headers)  # noqa: S310  # http, of our own
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            assert answer.status == 200


def port_of(agent: RunningAgent) -> int:
    port = urlsplit(agent.url).port
    assert port is not None
    return port


def serve(home: Path, ports: dict[str, list[int]], split: Split | None) -> Settings:
    """Write what the local target writes: places, and routes."""
    places = Places(home / "run" / "serving.json")
    for version, mine in ports.items():
        agents = tuple(Agent(number + 1, port, 0, "spec", Role.SERVING) for number, port in enumerate(mine))
        places.keep(Place(Served("tiny", version, "sha256:d"), (), agents, CHOICE))
    if split is not None:
        routes = home / "envoy" / "dynamic" / "rds.json"
        routes.parent.mkdir(parents=True)
        routes.write_text(json.dumps(route_document([split])))
    return Settings(home=home)


def backend(version: str, *ports: int) -> Backend:
    return Backend("tiny", version, tuple(Replica(port) for port in ports))


def test_each_version_and_arm_is_told_with_what_its_agents_answered(
    start_agent: StartAgent, tiny_scorer: str, tmp_path: Path
) -> None:
    one, two = start_agent(tiny_scorer), start_agent(tiny_scorer, version="2")
    first, second, dead = port_of(one), port_of(two), free_port()
    (tmp_path / "serving.yaml").write_text("defaults: {mirror_percent: 20}")
    split = Split(backend("1", first, dead), ((backend("2", second), 25),), "r")
    settings = serve(tmp_path, {"1": [first, dead], "2": [second]}, split)
    ask(one, "champion", 3)
    ask(two, "challenger", 2)
    ask(two, "shadow", 1)
    (one.spool / "a.7.rejected").write_bytes(b"no record\ntorn")
    section = serving(settings)
    champion, challenger, shadow = section.document()["arms"]
    assert (champion["arm"], champion["version"], champion["share_percent"]) == ("champion", "1", 75)
    assert (champion["replicas_ready"], champion["replicas"], champion["backend"]) == (1, 2, "mlflow")
    assert champion["requests_per_second"] * champion["window_seconds"] == pytest.approx(3)
    assert champion["error_ratio"] == 0
    assert 0 < champion["p50_seconds"] <= champion["p99_seconds"]
    assert champion["spool_bytes"] == sum(path.stat().st_size for path in one.spool.glob("*.jsonl")) > 0
    assert champion["quarantined_lines"] == 2
    assert (challenger["arm"], challenger["share_percent"], shadow["arm"], shadow["share_percent"]) == (
        ("challenger", 25, "shadow", 20)
    )
    assert challenger["requests_per_second"] * challenger["window_seconds"] == pytest.approx(2)
    assert shadow["requests_per_second"] * shadow["window_seconds"] == pytest.approx(1)
    assert champion["log_lag_seconds"] is None
    assert not [name for name, value in champion.items() if isinstance(value, dict)]
    log = tmp_path / "logs" / "agent-tiny-v1-2.log"
    assert section.faults == (
        f"agent-tiny-v1-2 does not answer (nobody listens): its log is {log}.",
        "The exporter was never started: how far behind the log is cannot be told.",
    )


def test_what_answers_nobody_is_told_when_no_agent_is_left(tmp_path: Path) -> None:
    port = free_port()
    settings = serve(tmp_path, {"3": [port]}, Split(backend("3", port)))
    section = serving(settings)
    (arm,) = section.document()["arms"]
    assert (arm["replicas_ready"], arm["replicas"], arm["requests_per_second"], arm["queue_rows"]) == (0, 1, None, None)
    assert "No agent of tiny is ready: its requests fail." in section.faults
    shown = section.shown(80).splitlines()
    assert shown[4].split() == ["v3", "champion", "100", "%", "0/1", "mlflow", "–", "–", "–", "–", "–"]
    assert shown[-1] == "! No agent of tiny is ready: its requests fail."


def test_where_nothing_is_served_a_sentence_says_so(tmp_path: Path) -> None:
    section = serving(Settings(home=tmp_path))
    assert section.shown(80) == f"Serving\n{NOTHING}\nNo controller has been at work yet."
    controller = {"at_work": False, "last_pass_seconds_ago": None, "running": False}
    assert section.document() == {
        "part": "Serving",
        "healthy": True,
        "reason": "",
        "controller": controller,
        "rollouts": [],
        "arms": [],
    }


def test_whether_a_controller_is_at_work_is_told(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    Passes(Textfile(tmp_path, "controller")).ended("done", 1.0)
    assert "A controller is at work." in serving(settings).shown(80)
    later = serving(settings, lambda: time.time() + 300)
    assert "No controller is at work; the last pass was 5 min ago." in later.shown(80)
    assert later.document()["controller"]["at_work"] is False
    textfile_path(tmp_path, "controller").write_bytes(b"damaged {")
    assert "No controller has been at work yet." in serving(settings).shown(80)


def test_a_controller_that_runs_and_is_late_is_not_said_to_be_away(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        record(tmp_path, "controller", pid=process.pid)
        assert "A controller runs, and has not ended its first pass yet." in serving(settings).shown(80)
        Passes(Textfile(tmp_path, "controller")).ended("done", 1.0)
        assert "A controller is at work." in serving(settings).shown(80)
        later = serving(settings, lambda: time.time() + 300)
        assert "A controller runs, and its pass is late: the last one ended 5 min ago." in later.shown(80)
        assert (later.document()["controller"]["at_work"], later.document()["controller"]["running"]) == (False, True)
    finally:
        process.communicate(b"")
    ended = serving(settings, lambda: time.time() + 300)
    assert "No controller is at work; the last pass was 5 min ago." in ended.shown(80)


def test_figures_are_of_the_last_minute_where_the_exporter_has_looked_and_else_of_the_time_since_the_start(
    start_agent: StartAgent, tiny_scorer: str, tmp_path: Path
) -> None:
    agent = start_agent(tiny_scorer)
    settings = serve(tmp_path, {"1": [port_of(agent)]}, Split(backend("1", port_of(agent))))
    ask(agent, "champion", 3)
    began = time.time()
    moments = iter([began, began + 30, began + 61])
    recent = Recent(settings, lambda: next(moments, began + 61))
    recent.look()

    def told(at: float) -> tuple[float, float]:
        (arm,) = serving(settings, lambda: at).document()["arms"]
        return round(arm["window_seconds"], 1), round(arm["requests_per_second"] * arm["window_seconds"])

    ask(agent, "champion", 4)
    assert told(began + 10) == (10, 4)
    recent.look()
    ask(agent, "champion", 5)
    assert told(began + 59) == (59, 9)
    recent.look()  # a minute after the first reading the second, of half a minute ago, is too young
    assert told(began + 62)[1] == 9
    window, requests = told(began + 1000)  # the exporter has ended
    assert window > 1000
    assert requests == 12
    (tmp_path / "run" / "traffic.json").write_text("[damaged")
    assert told(began + 10)[1] == 12


def test_a_version_that_waits_for_its_backend_has_no_figures_and_no_fault(tmp_path: Path) -> None:
    places = Places(tmp_path / "run" / "serving.json")
    places.keep(Place(Served("tiny", "1", "sha256:d")))
    section = serving(Settings(home=tmp_path))
    assert [(arm["arm"], arm["backend"]) for arm in section.document()["arms"]] == [("unrouted", None)]
    assert section.faults == ()


def test_a_wrong_serving_yaml_and_lines_of_the_access_log_that_were_set_aside_are_faults(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "gateway.0.rejected").write_bytes(b"no request\n")
    (tmp_path / "serving.yaml").write_text("defaults: {replicas: none}")
    wrong, aside = serving(Settings(home=tmp_path)).faults
    assert "serving.yaml: 'defaults.replicas' is wrong" in wrong
    assert aside.startswith("Lines of the gateway's access log that were no requests: 1.")


def test_the_logs_lag_is_the_exporters_and_unknown_once_the_exporter_has_stopped_looking(tmp_path: Path) -> None:
    port = free_port()
    settings = serve(tmp_path, {"1": [port]}, None)
    with Spool(tmp_path / "spool" / "tiny-v1", CONTRACT.model_dump_json().encode(), Limits()) as spool:
        spool.append(b'{"recorded_time": "2026-01-01T11:59:00"}\n')
    looked = datetime(2026, 1, 1, 12, tzinfo=UTC)
    exporter = Exporter(settings, {}, clock=lambda: looked)
    exporter.look()
    server, thread = start_http_server(0, "127.0.0.1", registry=exporter.registry)
    write_program(settings, exporter_program(settings, server.server_port))
    try:
        (arm,) = serving(settings, lambda: looked.timestamp() + 5).document()["arms"]
        assert arm["log_lag_seconds"] == 60
        late = serving(settings, lambda: looked.timestamp() + 90)
        assert "The exporter has not looked for 90 s: how far behind the log is cannot be told." in late.faults
        assert late.document()["arms"][0]["log_lag_seconds"] is None
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    gone = serving(settings).faults
    assert "The exporter does not answer (nobody listens): how far behind the log is cannot be told." in gone
