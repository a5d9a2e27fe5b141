"""What a package is in MLflow's terms, read from its `MLmodel` without mlflow: its MLflow, and its parameters."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from deploy.agent.refusal import RefusalError
from flywheel.errors import IntegrityError

MLMODEL = "MLmodel"


@dataclass(frozen=True)
class Signature:
    """The MLflow that saved the model, and the parameters of its signature with their defaults."""

    mlflow_version: str = "unknown"
    params: Mapping[str, Any] = field(default_factory=dict)

    def check_params(self, params: Any) -> None:
        """Accept parameters that say what holds anyway; a batch has rows of several requests and one set of parameters.

        Raises:
            RefusalError: They are no object, not of the signature, or differ from its defaults.
        """
        if params is None or params == {}:
            return
        if not self.params:
            raise RefusalError("params", "This version's signature has no parameters. Leave 'params' out.")
        if not isinstance(params, dict):
            raise RefusalError("params", "'params' must be an object of names and values.")
        if not params.keys() <= self.params.keys():
            raise RefusalError("params", f"This version knows these parameters only: {', '.join(sorted(self.params))}.")
        changed = sorted(name for name, value in params.items() if value != self.params[name])
        if changed:
            what = f"Parameter '{changed[0]}' is served with its default from the signature only"
            raise RefusalError("params", f"{what}. Send that, or leave it out.", field=changed[0])


def read_signature(folder: Path) -> Signature:
    """Read a model folder's MLmodel.

    Raises:
        IntegrityError: It is missing or is none.
    """
    path = folder / MLMODEL
    try:
        document = yaml.safe_load(path.read_text())
        params = json.loads((document.get("signature") or {}).get("params") or "[]")
        defaults = {param["name"]: param.get("default") for param in params}
        return Signature(str(document.get("mlflow_version", "unknown")), defaults)
    except OSError as fault:
        raise IntegrityError(f"Model {path} cannot be read: {fault.strerror}. Fetch the package again.") from fault
    except (ValueError, yaml.YAMLError, AttributeError, KeyError, TypeError) as fault:
        raise IntegrityError(f"Model {path} is no MLmodel: {type(fault).__name__}. Train the model again.") from fault
