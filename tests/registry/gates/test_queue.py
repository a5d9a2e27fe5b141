"""The queue on the real server's database: what waits is measured once, whatever is killed meanwhile."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from flywheel import events
from flywheel.connections import secrets
from flywheel.errors import TransientError, UsageError
from flywheel.events import Event, EventKind, Head
from flywheel.identities import CONTROLLER, GATES
from flywheel.settings import Settings
from registry.doors.artifacts import ARTIFACTS_DESTINATION, find_artifacts
from registry.gates import job as gate_job
from registry.gates.measuring import Bounds, measure
from registry.gates.queue import TRIES, queued
from tests.registry.conftest import Server
from tests.registry.gates.folders import spoiled
from tests.registry.gates.service import FAST, evidence, job, only, register, service_environment


def test_the_store_of_artifacts_is_the_one_that_the_server_is_told_of() -> None:
    handed_on = {ARTIFACTS_DESTINATION: "s3://a", "MLFLOW_ARTIFACTS_DESTINATION": "s3://b"}
    find_artifacts(handed_on)
    assert handed_on[ARTIFACTS_DESTINATION] == "s3://a"
    beside = {"MLFLOW_ARTIFACTS_DESTINATION": "s3://b"}
    find_artifacts(beside)
    assert beside[ARTIFACTS_DESTINATION] == "s3://b"
    with pytest.raises(UsageError, match="set MLFLOW_ARTIFACTS_DESTINATION"):
        find_artifacts({})


def test_a_new_version_is_measured_once_and_its_evidence_names_its_bytes(
    server: Server, model: str, engine: sa.Engine, package: Path
) -> None:
    version = register(server, model, package)
    made = only(engine, job(engine), model)
    made.run()
    found = evidence(server, model, version)
    assert set(found) == {*FAST}
    for gate, one in found.items():
        assert str(one.measurement.outcome) == "pass", one
        assert one.command == f"flywheel gates run {model} {version} --gate {gate}"
        assert one.reason.required_by == "policy"
        assert one.champion is None
        assert one.limits["size_mb"] == 500
    assert len({one.digest for one in found.values()}) == 1
    approved = server.move("grace", model, version, "Production")
    assert approved.status_code == 200, approved.text
    assert server.version(model, version)["tags"]["flywheel.digest"] == found["size"].digest
    measured = server.events(model, EventKind.GATE_MEASURED)
    assert [one.actor for one in measured] == [GATES] * len(FAST)
    made.run()
    only(engine, job(engine), model).run()  # another process, which remembers nothing
    assert server.events(model, EventKind.GATE_MEASURED) == measured
    assert server.trail_is_whole()


def test_the_use_case_adds_gates_and_its_looser_limits_are_moot(
    server: Server, engine: sa.Engine, package: Path, tmp_path: Path
) -> None:
    model = server.model(prefix="gated")  # the stack's own policy requires the same two
    wish = "\ngates: {required: [licences], limits: {size_mb: 9000, licences: [MIT]}}\n"
    version = register(server, model, spoiled(package, tmp_path, usecase_yaml=lambda text: text.rstrip() + wish))
    only(engine, job(engine, ("size", "card")), model).run()
    found = evidence(server, model, version)
    assert set(found) == {"size", "card", "licences"}
    assert found["licences"].reason.required_by == "use case"
    assert found["size"].limits["size_mb"] == 500
    assert "size_mb: the policy's limit holds" in found["size"].measurement.sentence
    assert str(found["licences"].measurement.outcome) == "fail"  # mlflow is not MIT


def test_two_processes_measure_a_version_once(server: Server, model: str, engine: sa.Engine, package: Path) -> None:
    register(server, model, package)
    jobs = [only(engine, job(engine), model) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda one: one.run(), jobs))
    assert len(server.events(model, EventKind.GATE_MEASURED)) == len(FAST)


def test_the_champion_s_digest_is_in_the_evidence(server: Server, model: str, engine: sa.Engine, package: Path) -> None:
    first, second = register(server, model, package), register(server, model, package)
    assert server.move("grace", model, first, "Production").status_code == 200
    server.made(CONTROLLER, "registered-models/alias", name=model, alias="champion", version=first)
    only(engine, job(engine, ("champion",)), model).run()
    ours, theirs = evidence(server, model, second)["champion"], evidence(server, model, first)["champion"]
    assert ours.champion == theirs.digest
    assert theirs.champion is None
    assert str(ours.measurement.outcome) == "pass", ours.measurement.sentence


def test_a_version_that_is_no_model_could_not_be_measured_and_does_not_wait_for_ever(
    server: Server, model: str, engine: sa.Engine
) -> None:
    run, place = server.run()
    source = f"mlflow-artifacts:/{place.removesuffix('model')}nothing"
    server.made("ada", "model-versions/create", name=model, source=source, run_id=run)
    made = only(engine, job(engine), model)
    for _ in range(TRIES - 1):
        with pytest.raises(TransientError):
            made.run()
    made.run()
    found = evidence(server, model, "1")
    assert {str(one.measurement.outcome) for one in found.values()} == {"could_not_run"}
    assert set(found) == {*FAST}


def test_a_job_that_is_killed_leaves_the_rest_to_the_next(
    server: Server, model: str, engine: sa.Engine, stack: Settings, package: Path
) -> None:
    version = register(server, model, package)
    program = (
        "import sys; import sqlalchemy as sa; from flywheel.policy import GatePolicy, Policy;"
        "from registry.gates.job import Subject, measure_version;"
        "policy = Policy(gates=GatePolicy(required=('size', 'card', 'licences', 'memory')));"
        "url, model, version, location = sys.argv[1:];"
        "measure_version(sa.create_engine(url), Subject(model, version, location), lambda connection: policy)"
    )
    location = f"mlflow-artifacts:/{server.version(model, version)['source'].removeprefix('mlflow-artifacts:/')}"
    url = secrets(stack).databases["server"]
    environment = {**os.environ, **service_environment(stack)}
    process = subprocess.Popen([sys.executable, "-c", program, url, model, version, location], env=environment)
    deadline = time.monotonic() + 60
    while len(server.events(model, EventKind.GATE_MEASURED)) < 3:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    before = evidence(server, model, version)
    assert "memory" not in before
    hasty = Bounds(gate_seconds=1)  # whether memory passes is not the question here
    only(engine, job(engine, ("size", "card", "licences", "memory"), bounds=hasty), model).run()
    after = evidence(server, model, version)
    assert set(after) == {"size", "card", "licences", "memory"}
    assert {gate: one.seq for gate, one in after.items() if gate in before} == {
        gate: one.seq for gate, one in before.items()
    }


def test_bytes_that_a_gate_changes_void_what_it_measured(
    server: Server, model: str, engine: sa.Engine, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = register(server, model, package)
    stock = measure

    def spoil(task: Any, found: Any, **rest: Any) -> None:
        stock(task, found, **rest)
        (task.folder / "planted").write_text("new")

    monkeypatch.setattr(gate_job, "measure", spoil)
    only(engine, job(engine, ("size",), bounds=Bounds(gate_seconds=60)), model).run()
    found = evidence(server, model, version)["size"].measurement
    assert "changed its own files" in found.sentence


def test_ten_thousand_versions_are_looked_through_quickly(server: Server, engine: sa.Engine) -> None:
    with engine.connect() as connection, connection.begin() as transaction:
        fill(connection, 10_000)
        connection.execute(sa.text("ANALYZE flywheel.events"))
        connection.execute(sa.text("ANALYZE model_versions"))
        started = time.perf_counter()
        waiting = [entry for entry in queued(connection) if entry.subject.model == "many"]
        whole = time.perf_counter() - started
        started = time.perf_counter()
        assert queued(connection, since=10**9) == []
        later = time.perf_counter() - started
        transaction.rollback()
    assert len(waiting) == 10_000 // 100
    assert whole < 2.0
    assert later < 0.1


def fill(connection: sa.Connection, count: int) -> None:
    """Add versions to a model, of which all but every hundredth were measured; nothing is committed."""
    head = events.lock_head(connection)
    connection.execute(sa.text("INSERT INTO registered_models (name, creation_time) VALUES ('many', 0)"))
    connection.execute(
        sa.text(
            "INSERT INTO model_versions (name, version, creation_time, current_stage, source, storage_location)"
            " SELECT 'many', n, 0, 'None', 's', 's' FROM generate_series(1, :count) n"
        ),
        {"count": count},
    )
    rows = []
    for number in range(1, count + 1):
        subject = f"many/{number}"
        created = events.chained(head, EventKind.VERSION_CREATED, subject, "ada", {}, datetime.now(UTC))
        head = Head(created.seq, created.hash)
        rows.append(row(created))
        if number % 100:
            body = {"gate": "size", "asked": created.seq, "remaining": 0}
            found = events.chained(head, EventKind.GATE_MEASURED, subject, GATES, body, datetime.now(UTC))
            head = Head(found.seq, found.hash)
            rows.append(row(found))
    connection.execute(events.EVENTS.insert(), rows)


def row(event: Event) -> dict[str, Any]:
    return {**vars(event), "kind": str(event.kind), "body": events.canonical(event.body)}
