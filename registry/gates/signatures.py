"""What a model takes and answers, by name: from the package's contract, or else from MLflow's signature.

MLmodel is read as YAML, so that whoever asks needs neither MLflow nor the model's libraries.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from flywheel.compatibility import Inputs, inputs_of
from flywheel.errors import IntegrityError
from flywheel.package import ModelPackage


def read_mlmodel(folder: Path) -> dict[str, Any]:
    """Read the MLmodel file.

    Raises:
        IntegrityError: It is missing or no YAML mapping.
    """
    try:
        document = yaml.safe_load((folder / "MLmodel").read_text())
    except (OSError, yaml.YAMLError) as fault:
        raise IntegrityError(f"MLmodel cannot be read: {fault}. Log the model again.") from fault
    if not isinstance(document, dict):
        raise IntegrityError("MLmodel holds no mapping. Log the model again.")
    return document


def signature_part(folder: Path, part: str) -> list[dict[str, Any]] | None:
    """Return `inputs` or `outputs` of the signature as MLflow writes them; None where it says nothing of them.

    Raises:
        IntegrityError: The signature is not as MLflow writes it.
    """
    signature = read_mlmodel(folder).get("signature")
    if not isinstance(signature, dict) or not signature.get(part):
        return None
    try:
        entries = json.loads(signature[part])
    except (TypeError, ValueError) as fault:
        raise IntegrityError(f"The signature's {part} are no JSON: {fault}. Log the model again.") from fault
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise IntegrityError(f"The signature's {part} are no list of columns. Log the model again.")
    return entries


def read_inputs(folder: Path, package: ModelPackage | None) -> tuple[Inputs, ...]:
    """Return the named inputs; none where the signature is missing or speaks of tensors."""
    if package is not None:
        return inputs_of(package.contract.columns)
    entries = signature_part(folder, "inputs") or []
    return tuple(
        Inputs(str(entry["name"]), str(entry.get("type")), not entry.get("required", True))
        for entry in entries
        if "name" in entry
    )


def read_outputs(folder: Path, package: ModelPackage | None) -> dict[str, str]:
    """Return type by name of what is answered; an unnamed output counts by its place."""
    if package is not None:
        return {output.name: output.type for output in package.contract.outputs}
    entries = signature_part(folder, "outputs") or []
    return {str(entry.get("name", place)): _type(entry) for place, entry in enumerate(entries)}


def _type(entry: dict[str, Any]) -> str:
    tensor = entry.get("tensor-spec")
    return f"tensor of {tensor.get('dtype')} {tensor.get('shape')}" if isinstance(tensor, dict) else str(entry["type"])
