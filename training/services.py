"""What training needs to reach, tried before any work: the MLflow server and Optuna's database."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import optuna
import sqlalchemy as sa
import urllib3
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from flywheel.errors import StackError, UsageError

TIMEOUT = 5.0  # seconds
TABLES_LOCK = 0x0F11  # any number that nothing else on Optuna's database locks
LOGIN = 'Log in with `eval "$(flywheel env --user NAME)"`.'


def check_mlflow(environment: Mapping[str, str]) -> None:
    """Ask the MLflow server whether it answers and knows the caller; a local store needs no answer.

    Raises:
        UsageError: No server is named, or it refuses the login.
        StackError: It does not answer.
    """
    uri = environment.get("MLFLOW_TRACKING_URI", "")
    if not uri:
        raise UsageError(f"MLFLOW_TRACKING_URI is not set, so there is nowhere to log to. {LOGIN}")
    if not uri.startswith(("http://", "https://")):
        return
    user, password = environment.get("MLFLOW_TRACKING_USERNAME"), environment.get("MLFLOW_TRACKING_PASSWORD")
    headers = urllib3.make_headers(basic_auth=f"{user}:{password}") if user and password else {}
    address = f"{uri.rstrip('/')}/api/2.0/mlflow/registered-models/search?max_results=1"
    try:
        with urllib3.PoolManager(retries=False, timeout=TIMEOUT) as http:
            status = http.request("GET", address, headers=headers).status
    except urllib3.exceptions.HTTPError as fault:
        raise StackError(
            f"MLflow at {uri} does not answer. Start it with `flywheel up` or correct MLFLOW_TRACKING_URI."
        ) from fault
    if status == 401:
        who = f"refuses user '{user}'" if user else "wants a login, and none is in the environment"
        raise UsageError(f"MLflow at {uri} {who}. {LOGIN}")
    if status >= 500:
        raise StackError(
            f"MLflow at {uri} answers with status {status}. Look into its log: `flywheel status` says where."
        )


@contextmanager
def _alone(url: sa.URL, arguments: dict[str, int]) -> Iterator[None]:
    # Two first trainings at once would both create Optuna's tables, and one would fail.
    if url.get_backend_name() != "postgresql":
        yield
        return
    engine = sa.create_engine(url, connect_args=arguments, poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_lock(TABLES_LOCK)))
        yield


def open_storage(environment: Mapping[str, str]) -> optuna.storages.RDBStorage:
    """Open Optuna's database, named by FLYWHEEL_OPTUNA_URL, and make its tables when there are none.

    Raises:
        UsageError: The variable is missing or no database URL.
        StackError: The database does not answer.
    """
    text = environment.get("FLYWHEEL_OPTUNA_URL", "")
    if not text:
        raise UsageError(f"FLYWHEEL_OPTUNA_URL is not set, so the search has no database. {LOGIN}")
    try:
        url = make_url(text)
    except ArgumentError as fault:
        raise UsageError(f"FLYWHEEL_OPTUNA_URL is no database URL. {LOGIN}") from fault
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # the trials are shown by us
    arguments = {"connect_timeout": int(TIMEOUT)} if url.get_backend_name() == "postgresql" else {}
    try:
        with _alone(url, arguments):
            return optuna.storages.RDBStorage(text, engine_kwargs={"connect_args": arguments})
    except (SQLAlchemyError, ImportError) as fault:
        where = url.render_as_string(hide_password=True)
        raise StackError(
            f"Optuna's database {where} cannot be used. Start it with `flywheel up` or correct FLYWHEEL_OPTUNA_URL."
        ) from fault
