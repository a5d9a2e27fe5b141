"""Documents held against the strict model that describes them: read, or refused in one sentence."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from flywheel.errors import IntegrityError

T = TypeVar("T", bound=BaseModel)


def read_document(path: Path, kind: type[T]) -> T:
    """Read a JSON file; messages call it by the name of its model.

    Raises:
        IntegrityError: The file is missing, or does not keep to the model.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as fault:
        raise IntegrityError(
            f"{kind.__name__} {path} cannot be read: {fault.strerror}. Train the model again."
        ) from fault
    except ValidationError as fault:
        raise IntegrityError(
            f"{kind.__name__} {path} is damaged: {fault.errors()[0]['msg']}. Train the model again."
        ) from fault
