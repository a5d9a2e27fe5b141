"""What training needs to reach, tried before any work: the MLflow server and Optuna's database."""

from collections.abc import Mapping

import urllib3

from flywheel.errors import StackError, UsageError
from training.search.storage import LOGIN, open_storage

TIMEOUT = 5.0  # seconds


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


def optuna_url(environment: Mapping[str, str]) -> str:
    """Return the address of Optuna's database, after its tables have been made where there were none.

    Raises:
        UsageError: FLYWHEEL_OPTUNA_URL is missing or no database URL.
        StackError: The database does not answer.
    """
    url = environment.get("FLYWHEEL_OPTUNA_URL", "")
    if not url:
        raise UsageError(f"FLYWHEEL_OPTUNA_URL is not set, so the search has no database. {LOGIN}")
    open_storage(url).engine.dispose()
    return url
