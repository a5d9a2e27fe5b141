"""The running stack: every part real, every secret kept, every role no wider than its work."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy.engine.url import make_url

from flywheel.connections import Secrets, endpoints, login, secrets
from flywheel.errors import StackError
from flywheel.identities import ADMIN, SERVICES
from flywheel.policy import load_policy
from flywheel.settings import Settings
from flywheel.stack import registry_service
from flywheel.stack.credentials import load_credentials
from flywheel.stack.databases import connect
from flywheel.stack.probes import request
from flywheel.stack.processes import living
from flywheel.stack.status import stack_rows
from flywheel.stack.supervisor import Program
from flywheel.stack.up import bring_up

PRIVATE = ["endpoints.json", "secrets.json", "credentials.json", "mlflow-login.ini"]


def flywheel(settings: Settings, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    code = "from flywheel.stack.cli import app; app()"
    environment = {**os.environ, "FLYWHEEL_HOME": str(settings.root), **variables}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def all_secrets(settings: Settings) -> list[str]:
    held = load_credentials(settings, load_policy(settings.root / "policy.yaml"))
    own = [held.postgres_owner, held.s3_key, held.s3_secret, held.mlflow_session]
    return [*own, *held.roles.values(), *held.users.values()]


def test_every_part_is_healthy(stack: Settings) -> None:
    rows = stack_rows(stack)
    assert [row.part for row in rows[:6]] == ["Supervisor", "Postgres", "S3", "Gateway", "MLflow", "Registry"]
    assert [row.reason for row in rows] == [""] * len(rows)
    assert all(row.pid and Path(row.log).exists() for row in rows[:6])


def test_status_is_a_table_for_people_and_a_document_for_machines(stack: Settings) -> None:
    table = flywheel(stack, "status")
    assert table.returncode == 0
    assert table.stdout.splitlines()[0].split() == ["part", "program", "state", "health", "pid", "address", "log"]
    document = json.loads(flywheel(stack, "status", "--json").stdout)
    assert {row["part"]: row["healthy"] for row in document}["MLflow"] is True


def test_status_shows_the_sections_of_installed_packages_below_the_parts(stack: Settings, tmp_path: Path) -> None:
    installed = tmp_path / "installed-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: installed\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(
        "[flywheel.status]\nserving = deploy.status.section:serving\nzz = gone_for_good:section\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    shown = flywheel(stack, "status", PYTHONPATH=path)
    assert shown.returncode == 0
    below = shown.stdout.split("\n\n", 1)[1].splitlines()
    assert below[:2] == ["Serving", "Nothing is served. Train a version, have it approved, and run `flywheel deploy`."]
    assert below[-2:] == ["zz", "! No module named 'gone_for_good'."]
    document = json.loads(flywheel(stack, "status", "--json", PYTHONPATH=path).stdout)
    by_part = {section["part"]: section for section in document}
    assert (by_part["Serving"]["healthy"], by_part["Serving"]["arms"]) == (True, [])
    assert [section["part"] for section in document][-3:] == ["Serving", "Monitoring", "zz"]
    assert document[-1] == {"part": "zz", "healthy": False, "reason": "No module named 'gone_for_good'."}


def test_watching_shows_it_again_until_it_is_interrupted_and_is_nothing_for_machines(stack: Settings) -> None:
    code = "from flywheel.stack.cli import app; app()"
    environment = {**os.environ, "FLYWHEEL_HOME": str(stack.root), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", code, "status", "--watch"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        heads = (line for line in process.stdout if line.startswith("part "))
        assert [next(heads), next(heads)]
        process.terminate()
    both = flywheel(stack, "status", "--watch", "--json")
    assert both.returncode != 0
    assert "exclude each other" in both.stderr


def test_the_registrys_process_has_the_servers_database_store_and_policy_and_the_callers_hook_secrets(
    stack: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLYWHEEL_HOOK_PAGER", "a secret")
    monkeypatch.setenv("SOMETHING_ELSE", "a secret")
    shared = {"MLFLOW_BACKEND_STORE_URI": "postgresql://a", "FLYWHEEL_POLICY": "p", "AWS_SECRET_ACCESS_KEY": "k"}
    own = {"MLFLOW_AUTH_ADMIN_PASSWORD": "w", "FLYWHEEL_SIGNING_KEY": "f"}
    made = registry_service.program(stack, Program("mlflow", ["mlflow"], shared | own))
    hooks = {"FLYWHEEL_HOOKS": str(stack.root / "hooks.yaml"), "FLYWHEEL_HOOK_PAGER": "a secret"}
    assert made.environment == shared | hooks | {"_MLFLOW_SERVER_ARTIFACT_DESTINATION": "s3://artifacts"}


def test_files_with_secrets_are_private(stack: Settings) -> None:
    modes = {name: (stack.root / "run" / name).stat().st_mode & 0o777 for name in PRIVATE}
    assert modes == dict.fromkeys(PRIVATE, 0o600)
    folder = stack.root / "supervisor"
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o600}


def test_no_secret_shows_in_a_command_line_or_a_log(stack: Settings) -> None:
    hidden = [secret.encode() for secret in all_secrets(stack)]
    assert min(map(len, hidden)) > 30
    processes = living(stack.root)
    assert {"supervisord", "postgres", "objects", "gateway", "mlflow", "registry"} <= {
        entry.name for entry in processes
    }
    said = [Path(f"/proc/{entry.pid}/cmdline").read_bytes() for entry in processes]
    said += [path.read_bytes() for path in (stack.root / "logs").iterdir()]
    assert not [text for text in said for secret in hidden if secret in text]


def test_the_gateway_answers_with_a_sentence_where_no_model_is_live(stack: Settings) -> None:
    status, body = request("POST", f"{endpoints(stack).gateway_url}/nothing/invocations", {})
    assert status == 404
    assert "No model is live" in json.loads(body)["error"]["message"]


def test_a_request_is_in_the_access_log_with_exactly_the_agreed_keys(stack: Settings) -> None:
    request("GET", f"{endpoints(stack).gateway_url}/some/path")
    log = stack.root / "logs" / "gateway.jsonl"
    keys = {"time", "request_id", "path", "route", "code", "flags", "attempts", "cluster", "host", "duration_ms"}
    keys |= {"client", "protocol", "grpc_status", "bytes_received", "bytes_sent", "upstream_ms", "trace_id"}
    keys |= {"rollout", "arm", "unit"}
    until = time.monotonic() + 10
    while "/some/path" not in log.read_text() and time.monotonic() < until:
        time.sleep(0.05)
    line = next(json.loads(text) for text in log.read_text().splitlines() if "/some/path" in text)
    assert set(line) == keys
    assert line["code"] == 404


@pytest.mark.parametrize("user", ["admin", "ada", "grace", "svc-training", "svc-controller", "svc-monitoring"])
def test_every_user_logs_in_with_its_own_password_only(stack: Settings, user: str) -> None:
    address = f"{endpoints(stack).mlflow_url}/api/2.0/mlflow/users/current"
    assert request("GET", address, login=(user, secrets(stack).users[user]))[0] == 200
    assert request("GET", address, login=(user, secrets(stack).users["svc-agents"]))[0] == 401
    assert request("GET", address)[0] == 401


def test_an_artifact_goes_through_mlflow_into_the_object_store(stack: Settings) -> None:
    ada = ("ada", secrets(stack).users["ada"])
    address = f"{endpoints(stack).mlflow_url}/api/2.0/mlflow"
    status, body = request("POST", f"{address}/experiments/create", {"name": "stack-artifacts"}, login=ada, timeout=30)
    assert status == 200, body
    experiment = json.loads(body)["experiment_id"]
    status, body = request("POST", f"{address}/runs/create", {"experiment_id": experiment}, login=ada, timeout=30)
    assert status == 200, body
    run = json.loads(body)["run"]["info"]["run_id"]
    path = f"{address}-artifacts/artifacts/{experiment}/{run}/artifacts/note.json"
    assert request("PUT", path, {"a": 1}, login=ada, timeout=30)[0] == 200
    stored = list((stack.root / "objects").rglob("note.json"))
    assert [json.loads(file.read_text()) for file in stored] == [{"a": 1}]
    assert json.loads(request("GET", path, login=ada, timeout=30)[1]) == {"a": 1}


@pytest.mark.parametrize(
    ("role", "database"),
    [
        ("optuna", "mlflow"),
        ("controller", "optuna"),
        ("monitoring", "optuna"),
        ("reader", "optuna"),
        ("server", "optuna"),
    ],
)
def test_a_role_cannot_enter_a_database_that_is_none_of_its_business(stack: Settings, role: str, database: str) -> None:
    url = make_url(secrets(stack).databases[role]).set(drivername="postgresql", database=database)
    with pytest.raises(psycopg2.OperationalError, match="permission denied"):
        psycopg2.connect(url.render_as_string(hide_password=False))


@pytest.mark.parametrize("role", ["server", "controller", "monitoring", "reader", "optuna"])
def test_a_role_enters_its_own_database_without_special_rights(stack: Settings, role: str) -> None:
    url = make_url(secrets(stack).databases[role])
    assert url.drivername == "postgresql+psycopg2"
    with connect(url) as database, database.cursor() as cursor:
        query = "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"
        cursor.execute(query)
        assert cursor.fetchone() == (False, False, False)


def test_env_prints_exports_that_a_shell_can_evaluate(stack: Settings) -> None:
    printed = flywheel(stack, "env", "--user", "ada").stdout
    shown = subprocess.run(["bash", "-c", f"{printed}\nenv"], capture_output=True, text=True, check=True).stdout
    assert {f"{name}={value}" for name, value in login(stack, "ada").items()} <= set(shown.splitlines())


def test_secrets_of_clients_hold_nothing_of_the_owner(stack: Settings) -> None:
    held = Secrets.model_validate_json((stack.root / "run" / "secrets.json").read_text())
    people = load_policy(stack.root / "policy.yaml").people
    assert set(held.users) == {ADMIN, *SERVICES, *people}
    assert set(held.databases) == {"server", "controller", "monitoring", "reader", "optuna"}


def test_an_up_that_cannot_succeed_leaves_the_running_stack_alone(stack: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        wrong = stack.model_copy(update={"gateway_port": server.getsockname()[1]})
        with pytest.raises(StackError, match="in use by another program"):
            bring_up(wrong, print)
    assert all(row.healthy for row in stack_rows(stack))
