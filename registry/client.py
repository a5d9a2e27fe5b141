"""How a command reaches the server: as a person whose password this home holds, or as the environment says."""

import os

from flywheel.connections import login
from flywheel.rest import Rest
from flywheel.settings import load_settings
from flywheel.tracking import Tracking


def connect(user: str | None) -> Rest:
    """Return a login on the server; `user` None means the MLFLOW_TRACKING_* variables.

    Raises:
        UsageError: There is no such user here, or no server is named.
        StackError: No stack runs in this home.
    """
    environment = login(load_settings(), user) if user else os.environ
    return Tracking.from_login(environment).rest
