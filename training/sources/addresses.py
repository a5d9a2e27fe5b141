"""Addresses of databases: `${NAME}` filled in from the environment, and what of them may be shown."""

import os
import re
from pathlib import Path
from urllib.parse import quote

from flywheel.errors import DataError
from training.sources.origin import hide_login

NAME = re.compile(r"\$\{(\w+)\}")
USERINFO = re.compile(r"(?<=://)[^@/]*@")
DIALECTS = {"postgresql": "postgresql", "postgres": "postgresql", "sqlite": "sqlite", "duckdb": "duckdb"}


def fill_in(database: str) -> str:
    """Replace each `${NAME}` by that environment variable; within user and password it is escaped.

    Raises:
        DataError: A variable is not set.
    """
    login = USERINFO.search(database)
    end = login.end() if login else 0

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            raise DataError(f"Environment variable {match[1]} (data.source.database) is not set. Set it and run again.")
        return quote(found, safe="") if match.end() < end else found

    return NAME.sub(value, database)


def dialect_of(address: str) -> str:
    """Return postgresql, sqlite or duckdb; a SQLAlchemy driver behind a plus sign does not matter.

    Raises:
        DataError: It is none of them.
    """
    scheme = address.split("://", 1)[0].partition("+")[0] if "://" in address else ""
    if scheme not in DIALECTS:
        raise DataError(
            f"Database '{hide_login(address)}' cannot be read."
            " Write postgresql://user:${PASSWORD}@host/name, sqlite:///FILE or duckdb:///FILE."
        )
    return DIALECTS[scheme]


def database_file(address: str, folder: Path) -> Path:
    """Return the file of `sqlite:///FILE` or `duckdb:///FILE`, relative to `folder`; four slashes make it absolute.

    Raises:
        DataError: It does not exist.
    """
    file = folder / address.split("://", 1)[1].removeprefix("/")
    if not file.is_file():
        raise DataError(f"Database file {file} does not exist. Correct data.source.database in usecase.yaml.")
    return file


def postgres_address(address: str) -> str:
    """Return the address as libpq takes it."""
    return f"postgresql://{address.split('://', 1)[1]}"
