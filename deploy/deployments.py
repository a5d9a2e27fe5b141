"""MLflow's deployment target `flywheel`: MLflow's client and command line roll out and ask for predictions.

    mlflow deployments create -t flywheel --name flights-delay -m models:/flights-delay/3
    mlflow deployments update -t flywheel --name flights-delay -m models:/flights-delay/4 -C wait=false
    mlflow deployments delete -t flywheel --name flights-delay -C reason="replaced by flights-delay-hourly"
    mlflow deployments predict -t flywheel --name flights-delay -I rows.json
    get_deploy_client("flywheel:http://gateway:8080").predict(endpoint="flights-delay", inputs=frame)

`flywheel` alone is the stack of FLYWHEEL_HOME; only on its machine can anything be changed. A deployment and an
endpoint are both a use case: which of its versions answers is the rollout's business. `create` and `update` do what
`flywheel deploy` does with a version that reviewers have moved to Production, `delete` what `flywheel undeploy` does.
config: wait (true), timeout (seconds), reason (of delete), pause, resume (of update).
FLYWHEEL_TOKEN, where it is set, is sent as the bearer token.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

import click
import pandas as pd
import urllib3
from mlflow.deployments import BaseDeploymentClient, PredictionsResponse
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    BAD_REQUEST,
    INVALID_PARAMETER_VALUE,
    RESOURCE_ALREADY_EXISTS,
    RESOURCE_DOES_NOT_EXIST,
    TEMPORARILY_UNAVAILABLE,
)

from deploy.deployment_changes import Changes
from deploy.deployment_request import model_version, read_change
from deploy.gateway.remembered import read_splits
from deploy.gateway.traffic import Split
from flywheel.connections import endpoints
from flywheel.errors import FlywheelError, TransientError, UsageError
from flywheel.settings import Settings, load_settings

TARGET = "flywheel"
FORMS = ("dataframe_split", "dataframe_records", "inputs", "instances")
TIMEOUT = urllib3.Timeout(connect=5.0, read=60.0)  # seconds
HOW_VERSIONS_GO_LIVE = (
    "A version goes live when a reviewer moves it to Production in the registry and `flywheel deploy` rolls it out."
)


class Refusal(MlflowException, click.ClickException):  # type: ignore[misc]  # mlflow is untyped
    """A refusal as MLflow's client knows it; its command line prints a traceback of all that are not click's too."""

    def __init__(self, message: str, code: int) -> None:
        MlflowException.__init__(self, message, code)


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
            raise Refusal("Name the use case, as deployment or as endpoint.", INVALID_PARAMETER_VALUE)
        body = json.dumps(_request(inputs), allow_nan=False, default=_plain).encode()
        headers = {"content-type": "application/json"}
        if token := os.environ.get("FLYWHEEL_TOKEN"):
            headers["authorization"] = f"Bearer {token}"
        url = f"{self._url}/{quote(name, safe='')}/invocations"
        try:
            response = self._http.request("POST", url, body=body, headers=headers)
        except urllib3.exceptions.HTTPError as fault:
            what = f"The gateway at {self._url} does not answer: {fault}. See `flywheel status`."
            raise Refusal(what, TEMPORARILY_UNAVAILABLE) from fault
        if response.status != 200:
            raise Refusal(_sentence(name, response.status, response.data), _error_code(response.status))
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
            raise Refusal(what, RESOURCE_DOES_NOT_EXIST)
        return _described(split)

    def list_endpoints(self) -> list[dict[str, Any]]:
        """Return what `list_deployments` does: a use case is both."""
        return self.list_deployments()

    def get_endpoint(self, endpoint: str) -> dict[str, Any]:
        """Return what `get_deployment` does: a use case is both."""
        return self.get_deployment(endpoint)

    def create_deployment(
        self,
        name: str,
        model_uri: str,
        flavor: str | None = None,
        config: Mapping[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """Serve a use case's first version, which must have been approved, and return what came of it.

        Raises:
            MlflowException: The use case is live already, the version is not approved, or cannot start; says why.
        """
        if name in self._live():
            raise Refusal(f"Use case '{name}' is live already. Update it instead.", RESOURCE_ALREADY_EXISTS)
        return self._deployed(name, model_uri, config)

    def update_deployment(
        self,
        name: str,
        model_uri: str | None = None,
        flavor: str | None = None,
        config: Mapping[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """Roll out a use case's newest approved version, or pause or resume a rollout; return what came of it.

        Args:
            name: The use case.
            model_uri: Must be that version; None where any will do.
            flavor: Not used.
            config: `wait`, `timeout`, or `pause` or `resume`.
            endpoint: Not used: a use case is both.

        Raises:
            MlflowException: It is not live, the version is not approved, or was rolled back; says why.
        """
        self.get_deployment(name)
        return self._deployed(name, model_uri, config)

    def delete_deployment(
        self, name: str, config: Mapping[str, Any] | None = None, endpoint: str | None = None
    ) -> None:
        """Take a use case out of service, for the reason that config names.

        Raises:
            MlflowException: There is no reason, or a version of it is still in Production.
        """
        with _refusals():
            self._changes().undeploy(name, read_change(config))

    def create_endpoint(self, name: str, config: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Serve a use case's newest approved version; see `create_deployment`."""
        if name in self._live():
            raise Refusal(f"Use case '{name}' is live already. Update it instead.", RESOURCE_ALREADY_EXISTS)
        return self._deployed(name, None, config)

    def update_endpoint(self, endpoint: str, config: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Do what `update_deployment` does."""
        return self.update_deployment(endpoint, config=config)

    def delete_endpoint(self, endpoint: str) -> NoReturn:
        """Refuse: MLflow asks for no reason here, and the audit trail does."""
        what = f"Delete the deployment '{endpoint}' instead, with config 'reason': an endpoint is the same use case."
        raise Refusal(what, BAD_REQUEST)

    def _deployed(self, name: str, model_uri: str | None, config: Mapping[str, Any] | None) -> dict[str, Any]:
        with _refusals():
            change, changes = read_change(config), self._changes()
            if change.control is not None:
                changes.control(name, change)
                return {**self.get_deployment(name), "flavor": TARGET, "outcome": f"{change.control}d"}
            version = model_version(name, model_uri) if model_uri is not None else None
            return {"name": name, "flavor": TARGET, **changes.deploy(name, version, change)}

    def _changes(self) -> Changes:
        return Changes(self._home())

    def _live(self) -> dict[str, Split]:
        with _refusals():
            return read_splits(Path(self._home().root) / "envoy" / "dynamic" / "rds.json")

    def _home(self) -> Settings:
        settings = load_settings()
        if self._url != endpoints(settings).gateway_url.rstrip("/"):
            raise UsageError(
                f"Only the home of the gateway at {self._url} knows what is live there. Ask on its machine."
            )
        return settings


@contextmanager
def _refusals() -> Iterator[None]:
    """Have every refusal be one of MLflow's."""
    try:
        yield
    except TransientError as fault:
        raise Refusal(str(fault), TEMPORARILY_UNAVAILABLE) from fault
    except FlywheelError as fault:
        raise Refusal(str(fault), INVALID_PARAMETER_VALUE) from fault


def run_local(
    target: str, name: str, model_uri: str, flavor: str | None = None, config: Mapping[str, object] | None = None
) -> NoReturn:
    """Refuse, and say how a version goes live."""
    raise Refusal(f"This target does not run locally. {HOW_VERSIONS_GO_LIVE}", BAD_REQUEST)


def target_help() -> str:
    """Return what `mlflow deployments help -t flywheel` shows."""
    return f"{__doc__}\n{HOW_VERSIONS_GO_LIVE}\n"


def _gateway_url(target_uri: str) -> str:
    url = target_uri.removeprefix(TARGET).removeprefix(":").rstrip("/")
    if not url:
        with _refusals():
            return endpoints(load_settings()).gateway_url.rstrip("/")
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        what = f"Target '{target_uri}' is no gateway. Write flywheel, or flywheel:http://host:port."
        raise Refusal(what, INVALID_PARAMETER_VALUE)
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
    raise Refusal(what, INVALID_PARAMETER_VALUE)


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
