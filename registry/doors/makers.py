"""Who made a run and a logged model: the server writes the login there, since what clients say of it is only a word.

Four eyes ask for it: whoever logged the bytes of a version helped to make it, whoever registers it afterwards. A run
has a column for its user; a logged model has none, so it gets a parameter, which MLflow neither changes nor deletes.
"""

import re
from typing import Any

import sqlalchemy as sa
from flask import g, has_request_context
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
from mlflow.store.tracking.dbmodels.models import SqlLoggedModel, SqlLoggedModelParam, SqlRun

MADE_BY = "flywheel.made_by"
RUN_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
MODEL_ID = re.compile(r"(?<![\w-])m-[0-9a-f]{32}(?![0-9a-f])")

MAKERS = """
SELECT user_id FROM runs WHERE run_uuid = ANY(:runs)
UNION SELECT param_value FROM logged_model_params WHERE param_key = :key AND model_id = ANY(:models)
UNION SELECT user_id FROM runs JOIN logged_models ON source_run_id = run_uuid WHERE model_id = ANY(:models)
"""


def stamp_makers() -> None:
    """Write the login into every run and logged model from now on, and refuse the server's own parameter."""
    for table, listener in ((SqlRun, _run), (SqlLoggedModelParam, _parameter)):
        if not sa.event.contains(table, "before_insert", listener):
            sa.event.listen(table, "before_insert", listener)
    if not sa.event.contains(SqlLoggedModel, "after_insert", _logged_model):
        sa.event.listen(SqlLoggedModel, "after_insert", _logged_model)


def makers(connection: sa.Connection, run_id: str | None, location: str) -> list[str]:
    """Return who logged what lies at a location: the users of the runs and logged models that it or `run_id` names.

    Empty where tracking keeps its tables in another database.
    """
    if connection.scalar(sa.text("SELECT to_regclass('logged_model_params') IS NULL")):
        return []
    runs = [*RUN_ID.findall(location), *([run_id] if run_id else [])]
    asked = {"runs": runs, "models": MODEL_ID.findall(location), "key": MADE_BY}
    return sorted(str(user) for user in connection.scalars(sa.text(MAKERS), asked) if user)


def _run(_: Any, __: sa.Connection, run: SqlRun) -> None:
    run.user_id = _login() or run.user_id


def _logged_model(_: Any, connection: sa.Connection, model: SqlLoggedModel) -> None:
    if (user := _login()) is not None:
        row = {"model_id": model.model_id, "experiment_id": model.experiment_id}
        row |= {"param_key": MADE_BY, "param_value": user}
        connection.execute(sa.insert(SqlLoggedModelParam.__table__), row)


def _parameter(_: Any, __: sa.Connection, parameter: SqlLoggedModelParam) -> None:
    if str(parameter.param_key) == MADE_BY:
        raise MlflowException(f"Parameter '{MADE_BY}' refused: the server alone sets it.", PERMISSION_DENIED)


def _login() -> str | None:
    user = getattr(g, "mlflow_authenticated_user", None) if has_request_context() else None
    return str(user) if user else None
