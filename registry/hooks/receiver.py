"""What all receivers in the operator's file share: a name, the events they want, how grave these must be, a secret."""

import fnmatch
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from flywheel.alerts import RANK, Severity
from flywheel.errors import TransientError
from flywheel.events import Event, EventKind


class Strict(BaseModel):
    """Frozen, and refuses what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Secret(Strict):
    """Where the secret is: a variable of the registry's process, or a file. Never the secret itself."""

    env: Annotated[str, Field(pattern=r"^FLYWHEEL_HOOK_[A-Z0-9_]+$")] | None = Field(
        None, description="Name of a variable that starts with FLYWHEEL_HOOK_; `flywheel up` hands those on."
    )
    file: Path | None = Field(None, description="A file with nothing but the secret.")

    @model_validator(mode="after")
    def _is_one(self) -> "Secret":
        if (self.env is None) == (self.file is None):
            raise ValueError("give either env or file")
        return self

    def read(self) -> str:
        """Return the secret as it is now.

        Raises:
            TransientError: It is not there.
        """
        try:
            text = os.environ.get(self.env, "") if self.env else (self.file or Path()).read_text().strip()
        except (OSError, UnicodeDecodeError) as fault:
            raise TransientError(f"its secret's file {self.file} cannot be read") from fault
        if not text:
            raise TransientError(f"its secret is missing: {self.env or self.file} is empty or not set")
        return text


class Receiver(Strict):
    """One who is told of events."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="Under which its place is kept.")
    events: tuple[str, ...] = Field(("*",), min_length=1, description="Kinds, such as alert or rollout.*")
    severity: Severity = Field(Severity.INFO, description="Alerts that are less grave are passed over.")

    def wants(self, event: Event) -> bool:
        """Return whether one of the patterns fits the event's kind, and it is grave enough."""
        fits = any(fnmatch.fnmatchcase(str(event.kind), pattern) for pattern in self.events)
        return fits and RANK[severity_of(event)] >= RANK[self.severity]


def severity_of(event: Event) -> Severity:
    """Return how grave an event is: a notice says it, the registry's own alerts are critical.

    What is no alert at all counts as critical too, since nobody is to miss a rollback for its lack of a severity.
    """
    if event.kind == EventKind.MONITOR_NOTICE:
        return Severity(event.body.get("severity", Severity.CRITICAL))
    return Severity.CRITICAL


def entries_of(event: Event) -> list[Mapping[str, Any]]:
    """Return the alerts that a notice tells of."""
    return list(event.body["alerts"])
