"""`flywheel up`: from whatever a former start left to a healthy stack, or to nothing at all.

Order: end leftovers; check everything that may be wrong with the world (ports, DATABASE_URL, policy); only then write;
start Postgres, S3 and gateway side by side, MLflow on the first two; create users; start the registry's
own process; publish the addresses last.
"""

import fcntl
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy.engine.url import URL

from flywheel.connections import Endpoints, Secrets, write_private
from flywheel.errors import StackError
from flywheel.policy import Policy, load_policy
from flywheel.schema import policy_text
from flywheel.settings import Settings
from flywheel.stack import credentials as passwords
from flywheel.stack import databases, gateway, objects, postgres, registry_service, tracking_server
from flywheel.stack.credentials import Credentials
from flywheel.stack.down import end_stack
from flywheel.stack.gateway_door import needs_doorman
from flywheel.stack.interruption import undisturbed
from flywheel.stack.parts import Part, all_parts, await_healthy
from flywheel.stack.ports import Ports, choose_ports, remember_ports
from flywheel.stack.signing_keys import make_keys
from flywheel.stack.supervisor import Program, socket_path, start_program, start_supervisor, write_program

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """Everything that was decided before anything is written."""

    settings: Settings
    ports: Ports
    policy: Policy
    credentials: Credentials
    owner: URL

    @property
    def embedded(self) -> bool:
        """Whether Postgres is ours to run."""
        return self.settings.database_url is None


def bring_up(settings: Settings, say: Say) -> Endpoints:
    """Start the stack of this home; `say` gets a line a step. On any fault or interruption nothing is left running.

    Raises:
        StackError: A part does not start, or the world is not as needed.
        UsageError: A setting or the policy is wrong.
    """
    if not settings.root.exists():
        make_plan(settings)  # a start that cannot succeed leaves no home behind,
    with locked(settings):
        make_plan(settings, running=True)  # and a stack that runs as it was
        if ended := end_stack(settings):
            say(f"Ended {len(ended)} processes of a former start")
        plan = make_plan(settings)
        try:
            return _start(plan, say)
        except BaseException:  # Ctrl-C too: whatever happens, nothing of a failed start stays
            with undisturbed():
                end_stack(settings, patience=5)
            raise


def make_plan(settings: Settings, *, running: bool = False) -> Plan:
    """Decide ports and credentials and check the world; nothing is written. `running`: a former stack may be up.

    Raises:
        StackError: A port is in use, or DATABASE_URL's Postgres does not answer or lacks rights.
        UsageError: DATABASE_URL or the policy is wrong.
    """
    path = settings.root / "policy.yaml"
    policy = load_policy(path) if path.exists() else Policy()
    ports = choose_ports(settings, running=running)
    credentials = passwords.load_credentials(settings, policy)
    if settings.database_url is None:
        owner = postgres.owner_url(ports.postgres, credentials.postgres_owner)
    else:
        owner = databases.parse_owner_url(settings.database_url)
        databases.check_owner(owner)
    gateway.check(settings, ports)
    return Plan(settings, ports, policy, credentials, owner)


@contextmanager
def locked(settings: Settings) -> Iterator[None]:
    """Hold the home for one `up` or `down` at a time.

    Raises:
        StackError: Another one works on it, or the home cannot be written.
    """
    path = settings.root / "run" / "lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        file = path.open("a")
    except OSError as fault:
        raise StackError(
            f"Home {settings.root} cannot be used: {fault.strerror}. Set FLYWHEEL_HOME to another folder."
        ) from fault
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            raise StackError(
                f"Another `flywheel up` or `down` works on {settings.root}. Wait for it, or end it."
            ) from fault
        yield


def _start(plan: Plan, say: Say) -> Endpoints:
    settings, began = plan.settings, time.monotonic()
    door, database = gateway.checked_serving(settings).gateway, plan.owner.render_as_string(hide_password=False)
    guarded = needs_doorman(door)
    parts = all_parts(settings, plan.ports, database, embedded=plan.embedded, guarded=guarded)
    _write_home(plan)
    start_supervisor(settings)
    say("Supervisor runs")
    _run(settings, objects.program(settings, plan.ports, plan.credentials.s3_key, plan.credentials.s3_secret))
    _run(settings, gateway.program(settings, door.threads))
    if plan.embedded:
        place = postgres.locate(settings)
        postgres.initialise(settings, place, plan.credentials.postgres_owner)
        _run(settings, postgres.program(place, plan.ports.postgres))
    _await(settings, parts["Postgres"], say)
    urls = databases.prepare_databases(plan.owner, plan.credentials.roles)
    write_private(
        settings.root / "run" / "secrets.json", Secrets(users=plan.credentials.users, databases=urls).model_dump_json()
    )
    if guarded:
        _run(settings, gateway.doorman_program(settings))
    tracking_server.write_login(settings, urls["server"])
    server = tracking_server.program(settings, plan.ports, plan.credentials, urls["server"])
    _run(settings, server)
    for label in ("S3", "Gateway", *(["Doorman"] if guarded else []), "MLflow"):
        _await(settings, parts[label], say)
    tracking_server.prepare_users(tracking_server.url(plan.ports), plan.credentials.users)
    _run(settings, registry_service.program(settings, server))
    _await(settings, parts["Registry"], say)
    say(f"Users are ready; {time.monotonic() - began:.0f} s in all")
    return _publish(plan)


def _write_home(plan: Plan) -> None:
    settings = plan.settings
    for name in ("logs", "packages", "spool", "log"):
        (settings.root / name).mkdir(parents=True, exist_ok=True)
    passwords.save_credentials(settings, plan.credentials)
    remember_ports(settings, plan.ports)
    make_keys(settings)
    policy = settings.root / "policy.yaml"
    if not policy.exists():
        policy.write_text(policy_text(plan.policy))
    objects.make_bucket(settings)
    gateway.write_configuration(settings, plan.ports)


def _run(settings: Settings, program: Program) -> None:
    write_program(settings, program)
    start_program(settings, program.name)


def _await(settings: Settings, part: Part, say: Say) -> None:
    await_healthy(settings, part)
    say(f"{part.label} answers at {part.address}")


def _publish(plan: Plan) -> Endpoints:
    endpoints = Endpoints(
        stack_id=uuid.uuid4().hex,
        mlflow_url=tracking_server.url(plan.ports),
        gateway_url=gateway.url(plan.settings, plan.ports),
        envoy_admin_url=gateway.admin_url(plan.settings),
        s3_url=f"http://127.0.0.1:{plan.ports.s3}",
        supervisor_socket=socket_path(plan.settings),
    )
    write_private(plan.settings.root / "run" / "endpoints.json", endpoints.model_dump_json(indent=1))
    return endpoints
