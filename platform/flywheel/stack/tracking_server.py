"""The MLflow server: its login file, its program, and its users."""

import os

from flywheel.connections import write_private
from flywheel.errors import StackError
from flywheel.identities import ADMIN
from flywheel.settings import Settings
from flywheel.stack import objects
from flywheel.stack.credentials import Credentials
from flywheel.stack.ports import Ports
from flywheel.stack.probes import request
from flywheel.stack.signing_keys import server_environment
from flywheel.stack.supervisor import Program

NAME = "mlflow"
LOGIN = """\
[mlflow]
default_permission = READ
database_uri = {database}
admin_username = {admin}
authorization_function = registry.access.login:authenticate
# The login remembers passwords itself, and notices in every worker when one changes.
auth_cache_ttl_seconds = 0
"""


def write_login(settings: Settings, database: str) -> None:
    """Write the login's configuration, which holds the database's password."""
    text = LOGIN.format(database=database.replace("%", "%%"), admin=ADMIN)
    write_private(settings.root / "run" / "mlflow-login.ini", text)


def program(settings: Settings, ports: Ports, credentials: Credentials, database: str) -> Program:
    """Return the program of the MLflow server, with the gate store and the flywheel app."""
    command = [
        "mlflow",
        "server",
        "--app-name",
        "flywheel",
        "--workers",
        "1",
        "--host",
        "127.0.0.1",
        "--port",
        str(ports.mlflow),
    ]
    # Else uvicorn would take what X-Forwarded-For says for the peer, which single sign-on must know.
    command += ["--uvicorn-opts", "--no-proxy-headers"]
    command += ["--serve-artifacts", "--artifacts-destination", f"s3://{objects.BUCKET}"]
    environment = {
        "MLFLOW_BACKEND_STORE_URI": database,
        "MLFLOW_REGISTRY_STORE_URI": f"flywheel+{database}",
        "MLFLOW_AUTH_CONFIG_PATH": str(settings.root / "run" / "mlflow-login.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": credentials.users[ADMIN],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": credentials.mlflow_session,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # seven idle consumers, 1.9 GB
        "FLYWHEEL_POLICY": str(settings.root / "policy.yaml"),
        **{name: value for name, value in os.environ.items() if name.startswith("FLYWHEEL_SSO_")},
        **server_environment(settings),
        **objects.client_environment(ports, credentials.s3_key, credentials.s3_secret),
    }
    return Program(NAME, command, environment)


def url(ports: Ports) -> str:
    """Return where the server answers."""
    return f"http://127.0.0.1:{ports.mlflow}"


def prepare_users(address: str, passwords: dict[str, str]) -> None:
    """Create MLflow's users and set their passwords; safe to repeat. What they may do, the server's app decides.

    Raises:
        StackError: MLflow refuses.
    """
    admin = (ADMIN, passwords[ADMIN])
    for name, password in passwords.items():
        if name == ADMIN or _logs_in(address, name, password):
            continue
        user = {"username": name, "password": password}
        if not _send(address, "POST", "create", user, admin):
            _send(address, "PATCH", "update-password", user, admin, required=True)


def _logs_in(address: str, name: str, password: str) -> bool:
    return _send(address, "GET", "current", None, (name, password))


def _send(
    address: str, method: str, path: str, document: object, login: tuple[str, str], *, required: bool = False
) -> bool:
    try:
        status, body = request(method, f"{address}/api/2.0/mlflow/users/{path}", document, login=login, timeout=30)
    except OSError as fault:
        raise StackError(f"MLflow at {address} does not answer: {fault}. Try `flywheel up` again.") from fault
    if required and status != 200:
        reason = body[:200].decode(errors="replace")
        raise StackError(f"MLflow refuses users/{path} with {status}: {reason}. See its log in the home's folder logs.")
    return status == 200
