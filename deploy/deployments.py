"""MLflow's deployment target `flywheel`: MLflow's client and command line ask the gateway for predictions.

    mlflow deployments predict -t flywheel -n flights-delay -I rows.json
    get_deploy_client("flywheel:http://gateway:8080").predict(endpoint="flights-delay", inputs=frame)

`flywheel` alone is the stack of FLYWHEEL_HOME. A deployment and an endpoint are both a use case: which of its versions
answers is the rollout's business. Nothing is created, updated or deleted here, for a version goes live by what
reviewers decide in the registry. FLYWHEEL_TOKEN, where it is set, is sent as the bearer token.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

import pandas as pd
import urllib3
from mlflow.deployments import BaseDeploymentClient, PredictionsResponse
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    BAD_REQUEST,
    INVALID_PARAMETER_VALUE,
    RESOURCE_DOES_NOT_EXIST,
    TEMPORARILY_UNAVAILABLE,
)

from deploy.gateway.remembered import read_splits
from deploy.gateway.traffic import Split
from flywheel.connections import endpoints
from flywheel.errors import FlywheelError
from flywheel.settings import load_settings

TARGET = "flywheel"
FORMS = ("dataframe_split", "dataframe_records", "inputs", "instances")
TIMEOUT = urllib3.Timeout(connect=5.0, read=60.0)  # seconds
HOW_VERSIONS_GO_LIVE = (
    "A version goes live when a reviewer moves it to Production in the registry and `flywheel deploy` rolls it out; "
    "archive it there to take it down."
)


class FlywheelDeploymentClient(BaseDeploymentClient):  # type: ignore[misc]  # mlflow is untyped
    """Asks one gateway, and reads from the local home what is live."""

    def __init__(self, target_uri: str) -> None:
        super().__init__(target_uri)
        self._url = _gateway_url(target_uri)
        self._http = urllib3.PoolManager(timeout=TIMEOUT, retries=False)

    def predict(
        self, deployment_name: str | None = None, inputs: Any = None, endpoint: str | None = None
    ) -> PredictionsResponse:
        """Return the predictions of a use case for a frame, rows, columns, or a request in one of MLflow's forms.

        Raises:
            MlflowException: The gateway refuses the request or does not answer; carries its sentence.
        """
        name = deployment_name or endpoint
        if not name:
            raise MlflowException("Name the use case, as deployment or as endpoint.", INVALID_PARAMETER_VALUE)
        body = json.dumps(_request(inputs), allow_nan=False, default=_plain).encode()
        headers = {"content-type": "application/json"}
        if token := os.environ.get("FLYWHEEL_TOKEN"):
            headers["authorization"] = f"Bearer {token}"
        url = f"{self._url}/{quote(name, safe='')}/invocations"
        try:
            response = self._http.request("POST", url, body=body, headers=headers)
        except urllib3.exceptions.HTTPError as fault:
            what = f"The gateway at {self._url} does not answer: {fault}. See `flywheel status`."
            raise MlflowException(what, TEMPORARILY_UNAVAILABLE) from fault
        if response.status != 200:
            raise MlflowException(_sentence(name, response.status, response.data), _error_code(response.status))
        return PredictionsResponse.from_json(response.data.decode())

    def list_deployments(self, endpoint: str | None = None) -> list[dict[str, Any]]:
        """Return the use cases that are live here, each with the share of traffic (percent) of its versions."""
        return [_described(split) for name, split in sorted(self._live().items()) if endpoint in (None, name)]

    def get_deployment(self, name: str, endpoint: str | None = None) -> dict[str, Any]:
        """Return one use case that is live here.

        Raises:
            MlflowException: It is not.
        """
        split = self._live().get(name)
        if split is None:
            what = f"Use case '{name}' is not live here. {HOW_VERSIONS_GO_LIVE}"
            raise MlflowException(what, RESOURCE_DOES_NOT_EXIST)
        return _described(split)

    def list_endpoints(self) -> list[dict[str, Any]]:
        """Return what `list_deployments` does: a use case is both."""
        return self.list_deployments()

    def get_endpoint(self, endpoint: str) -> dict[str, Any]:
        """Return what `get_deployment` does: a use case is both."""
        return self.get_deployment(endpoint)

    def create_deployment(
        self, name: str, model_uri: str, flavor: str | None = None, config: object = None, endpoint: str | None = None
    ) -> NoReturn:
        """Refuse, and say how a version goes live."""
        _refuse("create")

    def update_deployment(
        self,
        name: str,
        model_uri: str | None = None,
        flavor: str | None = None,
        config: object = None,
        endpoint: str | None = None,
    ) -> NoReturn:
        """Refuse, and say how a version goes live."""
        _refuse("update")

    def delete_deployment(self, name: str, config: object = None, endpoint: str | None = None) -> NoReturn:
        """Refuse, and say how a version goes live."""
        _refuse("delete")

    def _live(self) -> dict[str, Split]:
        try:
            settings = load_settings()
            if self._url != endpoints(settings).gateway_url.rstrip("/"):
                what = f"Only the home of the gateway at {self._url} knows what is live there. Ask on its machine."
                raise MlflowException(what, INVALID_PARAMETER_VALUE)
        except FlywheelError as fault:
            raise MlflowException(str(fault), INVALID_PARAMETER_VALUE) from fault
        return read_splits(Path(settings.root) / "envoy" / "dynamic" / "rds.json")


def run_local(
    target: str, name: str, model_uri: str, flavor: str | None = None, config: Mapping[str, object] | None = None
) -> NoReturn:
    """Refuse, and say how a version goes live."""
    _refuse("run locally")


def target_help() -> str:
    """Return what `mlflow deployments help -t flywheel` shows."""
    return f"{__doc__}\n{HOW_VERSIONS_GO_LIVE}\n"


def _refuse(action: str) -> NoReturn:
    raise MlflowException(f"This target does not {action}. {HOW_VERSIONS_GO_LIVE}", BAD_REQUEST)


def _gateway_url(target_uri: str) -> str:
    url = target_uri.removeprefix(TARGET).removeprefix(":").rstrip("/")
    if not url:
        try:
            return endpoints(load_settings()).gateway_url.rstrip("/")
        except FlywheelError as fault:
            raise MlflowException(str(fault), INVALID_PARAMETER_VALUE) from fault
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        what = f"Target '{target_uri}' is no gateway. Write flywheel, or flywheel:http://host:port."
        raise MlflowException(what, INVALID_PARAMETER_VALUE)
    return url


def _request(inputs: Any) -> dict[str, Any]:
    """Return the request for what a caller gives: a frame, a list of rows, columns by name, or a whole request."""
    if isinstance(inputs, pd.DataFrame):
        return {"dataframe_split": {"columns": list(inputs.columns), "data": _rows(inputs)}}
    if isinstance(inputs, list):
        return {"dataframe_records": inputs}
    if isinstance(inputs, Mapping) and any(form in inputs for form in FORMS):
        return dict(inputs)
    if isinstance(inputs, Mapping):
        return {"inputs": {name: list(values) for name, values in inputs.items()}}
    what = f"Inputs must be a DataFrame, rows, columns or a request, not {type(inputs).__name__}."
    raise MlflowException(what, INVALID_PARAMETER_VALUE)


def _rows(frame: pd.DataFrame) -> list[list[Any]]:
    """Return a frame's values with null for what is missing, which NaN is not in JSON."""
    values, known = frame.astype(object).to_numpy().tolist(), frame.notna().to_numpy().tolist()
    return [
        [value if is_known else None for value, is_known in zip(*row, strict=True)]
        for row in zip(values, known, strict=True)
    ]


def _plain(value: Any) -> Any:
    """Return a value of pandas or numpy as JSON has it."""
    return value.isoformat() if hasattr(value, "isoformat") else value.item()


def _described(split: Split) -> dict[str, Any]:
    return {"name": split.usecase, "champion": split.champion.version, "percent": split.weights}


def _sentence(name: str, status: int, body: bytes) -> str:
    try:
        error = json.loads(body)["error"]
        said = error["message"] if isinstance(error, dict) else str(error)
        where = f" (row {error['row']})" if isinstance(error, dict) and error.get("row") is not None else ""
    except (ValueError, KeyError, TypeError):
        said, where = body[:200].decode(errors="replace").strip() or "no reason given", ""
    return f"Use case '{name}' answered {status}{where}: {said}"


def _error_code(status: int) -> int:
    if status == 404:
        return int(RESOURCE_DOES_NOT_EXIST)
    return int(TEMPORARILY_UNAVAILABLE if status >= 500 or status == 429 else INVALID_PARAMETER_VALUE)
