"""What a reader returns: the rows, and for lineage and messages where they came from, never with a password."""

import re
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl


@dataclass(frozen=True)
class Origin:
    """One source as it was read.

    `place` is a path or address without login; `query` the SQL text that ran; `version` that of a Delta table. `digest`
    is `sha256:…` of what identifies the content: a Python file's bytes; names, sizes and both ends of data files (which
    for Parquet hold its statistics); None where only the place is known, as in a database. It tells editions apart
    cheaply; the proof of equal content is the digest of the rows themselves.
    """

    kind: str
    place: str
    query: str | None = None
    version: int | None = None
    digest: str | None = None
    joins: tuple["Origin", ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the fields that are set, joins too, as plain values."""
        return {key: value for key, value in asdict(self).items() if value not in (None, ())}

    def describe(self) -> str:
        """Name the source in one line, like `delta orders at version 3`."""
        version = f" at version {self.version}" if self.version is not None else ""
        query = f": {' '.join(self.query.split())}" if self.query is not None else ""
        return f"{self.kind} {self.place}{version}{query}"


@dataclass(frozen=True)
class Table:
    """Raw rows as a reader gives them, n_rows by n_columns; `left` names columns that are there but were not read."""

    frame: pl.DataFrame
    origin: Origin
    left: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """All columns that the source has."""
        return [*self.frame.columns, *self.left]


def collect_without(scan: pl.LazyFrame, leave: Collection[str], origin: Origin) -> Table:
    """Read all columns of a scan but those in `leave`."""
    left = tuple(name for name in scan.collect_schema().names() if name in leave) if leave else ()
    return Table((scan.drop(left) if left else scan).collect(), origin, left)


LOGIN = re.compile(r"(?<=://)[^@/\s'\"]*@")
SECRET_PARAMETER = re.compile(r"([?&;](?:password|sslpassword|passfile)=)[^&;\s'\"]*", re.IGNORECASE)


def hide_login(text: str) -> str:
    """Return text without the logins of the addresses in it: what is between `://` and `@`, and password parameters."""
    return SECRET_PARAMETER.sub(r"\1…", LOGIN.sub("", text))
