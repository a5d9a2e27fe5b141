"""What a person named as data: a file, a folder, a Delta table, s3:// or a query, as a source of a use case."""

import glob
import os
import re
from pathlib import Path
from urllib.parse import unquote

from deltalake import DeltaTable

from flywheel.errors import UsageError
from flywheel.usecase import Source
from training.sources.addresses import DIALECTS, dialect_of
from training.sources.cloud import in_cloud, storage_options

KINDS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".gz": "csv",
    ".txt": "csv",
    ".py": "python",
}
DATABASE_FILES = {".db": "sqlite", ".sqlite": "sqlite", ".sqlite3": "sqlite", ".duckdb": "duckdb", ".ddb": "duckdb"}
PASSWORD = re.compile(r"(?<=://)([^:@/]*):([^@/]+)@")
PASSWORD_NAME = "SOURCE_PASSWORD"  # noqa: S105  # the name of a variable


def find_source(data: str, query: str | None) -> Source:
    """Say what kind of source `data` is; relative paths are relative to the current folder.

    Raises:
        UsageError: It is nothing that can be read, or a query is missing or too much.
    """
    scheme = data.split("://", 1)[0].partition("+")[0] if "://" in data else ""
    if scheme in DIALECTS or data.startswith("${"):
        if query is None:
            raise UsageError("A database needs a query. Add one: --query with a SELECT or a .sql file.")
        return Source(kind="sql", path=None, database=data, query=query)
    if query is not None:
        raise UsageError("--query goes with a database. Name one: postgresql://…, sqlite:///FILE or duckdb:///FILE.")
    if in_cloud(data):
        return Source(kind=_cloud_kind(data), path=data, database=None, query=None)
    return Source(kind=_local_kind(Path(data)), path=data, database=None, query=None)


def placed(source: Source, folder: Path) -> Source:
    """Return the source as the use case in `folder` names it: paths relative to it, no password.

    A file outside the current folder keeps its absolute path, because the use case may move without it.
    """
    if source.path is not None:
        return source if "://" in source.path else source.model_copy(update={"path": _seen_from(source.path, folder)})
    database, query = str(source.database), str(source.query)
    if not database.startswith("${"):
        if dialect_of(database) == "postgresql":
            database = PASSWORD.sub(_hide, database)
        else:
            scheme, file = database.split("://", 1)
            database = f"{scheme}:///{_seen_from(file.removeprefix('/'), folder)}"
    if query.strip().endswith(".sql") and len(query.split()) == 1:
        query = _seen_from(query.strip(), folder)
    return source.model_copy(update={"database": database, "query": query})


def hidden_password(source: Source) -> str | None:
    """Return the password that `placed` takes out of an address, or None."""
    match = PASSWORD.search(source.database or "")
    return unquote(match[2]) if match and "${" not in match[2] else None


def stem(source: Source) -> str:
    """Return a word for the data: the file's, folder's or database's name."""
    place = source.path or str(source.database).split("?", maxsplit=1)[0]
    words = [part for part in re.split(r"[/\\]", place) if part and "*" not in part]
    return words[-1].split(".")[0] if words else "data"


def _hide(match: re.Match[str]) -> str:
    return match[0] if "${" in match[2] else f"{match[1]}:${{{PASSWORD_NAME}}}@"


def _seen_from(path: str, folder: Path) -> str:
    target, here = Path(path).absolute(), Path.cwd()
    if folder.absolute().is_relative_to(here) and target.is_relative_to(here):
        return os.path.relpath(target, folder.absolute())
    return str(target)


def _cloud_kind(data: str) -> str:
    suffix = Path(data.rstrip("/")).suffix
    if suffix in KINDS:
        return KINDS[suffix]
    return "delta" if DeltaTable.is_deltatable(data, storage_options()) else "parquet"


def _local_kind(path: Path) -> str:
    if path.suffix in DATABASE_FILES:
        scheme = DATABASE_FILES[path.suffix]
        raise UsageError(f"{path} is a database file. Write {scheme}:///{path} and add --query.")
    if path.is_dir():
        return _folder_kind(path)
    if not path.exists() and not glob.has_magic(str(path)):
        raise UsageError(f"{path} does not exist. Name a CSV or Parquet file, a folder of them, or a database.")
    if path.suffix in KINDS:
        return KINDS[path.suffix]
    if glob.has_magic(str(path)):
        raise UsageError(f"{path} does not say what its files are. End it with .csv or .parquet.")
    with path.open("rb") as file:
        return "parquet" if file.read(4) == b"PAR1" else "csv"


def _folder_kind(path: Path) -> str:
    if (path / "_delta_log").is_dir():
        return "delta"
    found = {KINDS[file.suffix] for file in path.rglob("*") if file.suffix in KINDS and file.suffix != ".py"}
    if len(found) != 1:
        what = "both CSV and Parquet files" if found else "no CSV or Parquet file"
        raise UsageError(
            f"Folder {path} holds {what}. Name a folder with one kind of file, or a glob like '{path}/*.csv'."
        )
    return found.pop()
