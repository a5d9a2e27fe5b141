"""A body that must be JSON."""

from typing import Any

import orjson

from deploy.agent.refusal import RefusalError


def read_json(body: bytes) -> Any:
    """Return what a body holds.

    Raises:
        RefusalError: It is no JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        raise RefusalError("json", "The body is not valid JSON (NaN is not either). Send a JSON object.") from fault
