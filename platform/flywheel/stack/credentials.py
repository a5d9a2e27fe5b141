"""The stack's own secrets: generated once, kept in HOME/run/credentials.json (mode 600), never shown.

`flywheel.connections.Secrets` is the part of them that clients need.
"""

import json
import secrets
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from flywheel.connections import write_private
from flywheel.errors import StackError
from flywheel.identities import ADMIN, SERVICES
from flywheel.policy import Policy
from flywheel.settings import Settings
from flywheel.stack.databases import ROLES


class Credentials(BaseModel):
    """Passwords and keys by who holds them."""

    model_config = ConfigDict(frozen=True)

    postgres_owner: str
    roles: dict[str, str]
    s3_key: str
    s3_secret: str
    mlflow_session: str
    users: dict[str, str]


def load_credentials(settings: Settings, policy: Policy) -> Credentials:
    """Read the credentials, and generate what is missing: all at first, later those of new people. Nothing is written.

    Raises:
        StackError: The file is damaged.
    """
    known = _known(settings) or Credentials(
        postgres_owner=generate(),
        roles={role: generate() for role in ROLES},
        s3_key=generate(),
        s3_secret=generate(),
        mlflow_session=generate(),
        users={},
    )
    names = [ADMIN, *SERVICES, *policy.people]
    return known.model_copy(update={"users": {name: known.users.get(name) or generate() for name in names}})


def save_credentials(settings: Settings, credentials: Credentials) -> None:
    """Write the credentials, for their owner alone."""
    write_private(_path(settings), credentials.model_dump_json(indent=1))


def generate() -> str:
    """Return a new password: 192 bits, of characters that need no quoting in URLs, shells or ini files."""
    return secrets.token_hex(24)


def _known(settings: Settings) -> Credentials | None:
    path = _path(settings)
    try:
        return Credentials.model_validate(json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, ValidationError) as fault:
        raise StackError(f"{path} is damaged. Restore it, or remove {settings.root} to start anew.") from fault


def _path(settings: Settings) -> Path:
    return settings.root / "run" / "credentials.json"
