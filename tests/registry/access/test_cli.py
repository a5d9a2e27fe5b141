"""`flywheel token`: issue, list and revoke on the real server."""

import json

import pytest
from typer.testing import CliRunner, Result

from flywheel.connections import login
from flywheel.errors import FlywheelError, UsageError
from flywheel.identities import TRAINING
from flywheel.settings import Settings
from flywheel.tracking import Tracking
from registry.access.cli import app
from tests.registry.conftest import Server

pytestmark = pytest.mark.usefixtures("home")


def run(*words: str) -> Result:
    result = CliRunner().invoke(app, ["token", *words])
    if isinstance(result.exception, FlywheelError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_the_token_alone_is_on_stdout_and_logs_in_until_it_is_revoked(server: Server) -> None:
    issued = run("issue", "nightly", "--user", "ada", "--scope", "registry", "--days", "7")
    token = issued.stdout.strip()
    environment = {"MLFLOW_TRACKING_URI": server.where.mlflow_url, "MLFLOW_TRACKING_TOKEN": token}
    client, model = Tracking.from_login(environment), server.model()
    client.rest.call("POST", "registered-models/set-tag", name=model, key="k", value="v")
    number = token.split("_")[1]
    assert f"Token {number} of ada for registry" in issued.stderr
    assert f"{number}  valid" in run("list", "--as", "ada").stdout
    assert run("revoke", number, "--as", "ada").stdout == f"Token {number} ('nightly' of ada) is revoked.\n"
    with pytest.raises(UsageError):
        client.registered_models()
    shown = [json.loads(line) for line in run("list", "--as", "ada", "--json").stdout.splitlines()]
    assert [one["state"] for one in shown if one["id"] == number] == ["revoked"]


def test_a_token_that_predicts_does_nothing_else(server: Server) -> None:
    token = run("issue", "shop", "--user", "ada", "--scope", "predict").stdout.strip()
    for method, path in (
        ("GET", "experiments/search?max_results=1"),
        ("GET", "registered-models/search"),
        ("POST", "registered-models/create"),
    ):
        answer = server.call(None, method, f"/api/2.0/mlflow/{path}", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 403, path
        assert "only predicts" in answer.text
    run("revoke", token.split("_")[1], "--as", "ada")


def test_without_a_home_the_environments_own_login_issues(
    server: Server, stack: Settings, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in login(stack, "ada").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FLYWHEEL_HOME", str(tmp_path_factory.mktemp("empty")))
    token = run("issue", "nightly", "--user", "ada", "--scope", "read").stdout.strip()
    run("revoke", token.split("_")[1])


def test_an_administrator_issues_those_of_services(server: Server) -> None:
    token = run("issue", "ci", "--user", TRAINING, "--scope", "tracking").stdout.strip()
    run("revoke", token.split("_")[1], "--as", "admin")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("issue", "x", "--user", "ada", "--scope", "all"), "Scope 'all' is not known"),
        (("issue", "x", "--user", "ada", "--scope", "read", "--days", "366"), "1 to 365 days"),
        (("issue", "x", "--user", "grace", "--scope", "read", "--as", "admin"), "Nobody may issue tokens"),
        (("issue", "x", "--user", "nobody", "--scope", "read"), "not known here"),
        (("revoke", "x/../y", "--as", "ada"), "is no token's id"),
        (("revoke", "0123456789ab", "--as", "ada"), "There is no token '0123456789ab'"),
    ],
)
def test_wrong_use_gets_one_sentence(server: Server, words: tuple[str, ...], says: str) -> None:
    with pytest.raises(FlywheelError, match=says):
        run(*words)
