"""What an agent needs of a model package: the contract and the input example, read without mlflow."""

import json
from dataclasses import dataclass
from pathlib import Path

import orjson

from deploy.agent.dataplane import Row
from deploy.agent.refusal import RefusalError
from deploy.agent.rest.forms import parse_rows
from flywheel.contract import Contract, read_contract
from flywheel.digest import folder_digest
from flywheel.errors import IntegrityError
from flywheel.package import INSIDE

CONTRACT = INSIDE / "contract.json"
# MLflow writes the example in the form of a request under this name.
EXAMPLE = "serving_input_example.json"


@dataclass(frozen=True)
class ServedPackage:
    """The contract and at least one row that the model must be able to score."""

    contract: Contract
    example: list[Row]


def check_digest(folder: Path, digest: str) -> None:
    """Check that a folder holds the bytes that were approved: they may have changed since deploy looked.

    Raises:
        IntegrityError: It does not.
    """
    found = folder_digest(folder)
    if found != digest:
        raise IntegrityError(
            f"Package {folder} is not what was approved: its digest is {found[:19]}…, approved was {digest[:19]}…. "
            "Find out who changed it; `flywheel deploy` fetches it again."
        )


def read_served(folder: Path) -> ServedPackage:
    """Read a model folder.

    Raises:
        IntegrityError: The contract or the example is missing or damaged.
    """
    path = folder / EXAMPLE
    try:
        # MLflow writes a missing number as NaN, which is no JSON: the contract's word for it is null.
        document = json.loads(path.read_bytes(), parse_constant=lambda _: None)
        example = parse_rows(orjson.dumps(document), max_rows=1000)
    except OSError as fault:
        raise IntegrityError(
            f"Example {path} cannot be read: {fault.strerror}. Train with an input example."
        ) from fault
    except (ValueError, RefusalError) as fault:
        raise IntegrityError(f"Example {path} is no request: {fault}. Train the model again.") from fault
    return ServedPackage(read_contract(folder / CONTRACT), example)
