"""Settings from the environment (`FLYWHEEL_*`), each with a working default."""

from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from flywheel.errors import UsageError
from flywheel.faults import reason_of


class Settings(BaseSettings):
    """What an operator may set. Secrets and addresses are not here: see `flywheel.connections`."""

    model_config = SettingsConfigDict(env_prefix="FLYWHEEL_", extra="ignore", frozen=True)

    home: Path = Field(Path(".flywheel"), description="Folder with everything the stack keeps.")
    database_url: str | None = Field(
        None,
        validation_alias=AliasChoices("FLYWHEEL_DATABASE_URL", "DATABASE_URL"),
        description="A Postgres of yours, with CREATEDB and CREATEROLE; by default one is run from a wheel.",
    )
    mlflow_port: int | None = Field(None, description="Port of MLflow; by default a free one, remembered.")
    gateway_port: int | None = Field(None, description="Port of the gateway; by default a free one, remembered.")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    debug: bool = Field(False, description="Show tracebacks.")

    @cached_property
    def root(self) -> Path:
        """The home folder, absolute."""
        return self.home.expanduser().resolve()


def load_settings() -> Settings:
    """Read the settings.

    Raises:
        UsageError: A variable holds something it may not.
    """
    try:
        return Settings()
    except ValidationError as fault:
        first = fault.errors()[0]
        name = f"FLYWHEEL_{str(first['loc'][0]).upper()}"
        raise UsageError(f"{name} is wrong: {reason_of(first)}. Unset it or correct it.") from fault
