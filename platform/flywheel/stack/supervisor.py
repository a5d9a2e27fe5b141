"""Our side of supervisord: programs as files, and its XML-RPC over a unix socket.

A program is two files, both mode 600: `supervisor/programs/<name>.json`, read by `flywheel.stack.launch`, and
`supervisor/conf.d/<name>.conf`, which only tells supervisord to run that. So a command or a secret never meets the
quoting rules of an ini file.
"""

import hashlib
import http.client
import json
import os
import socket
import sys
import tempfile
import time
import xmlrpc.client
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from flywheel.connections import QUIET, write_private
from flywheel.errors import StackError
from flywheel.settings import Settings
from flywheel.stack.interruption import undisturbed
from flywheel.stack.processes import record, recorded_command, started_ticks

MAX_SOCKET_PATH = 90  # the kernel takes 107 bytes, and supervisord appends its pid while binding
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "XDG_RUNTIME_DIR")

CONFIGURATION = """\
[supervisord]
nodaemon=true
silent=true
directory={home}
logfile={home}/logs/supervisord.log
logfile_maxbytes=10MB
pidfile={home}/run/supervisord.pid
{user}
[unix_http_server]
file={socket}
chmod=0700
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[include]
files = conf.d/*.conf
"""

PROGRAM = """\
[program:{name}]
command={python} -m flywheel.stack.launch --home {home} --program {file}
autorestart={restart}
startsecs={start_seconds}
stopsignal={stop_signal}
stopasgroup=true
killasgroup=true
stopwaitsecs={stop_seconds}
stdout_logfile=NONE
stderr_logfile=NONE
"""


@dataclass(frozen=True)
class Program:
    """What supervisord keeps running. Its log goes to HOME/logs/<name>.log.

    Args:
        name: Unique within the stack.
        command: Program and arguments; no secrets.
        environment: Added to the stack's clean environment; may hold secrets.
        directory: Where it runs; the home by default.
        user: Whom it runs as; the stack's user by default.
        stop_signal: Ends it in good order.
        start_seconds: How long it must live to count as started; a program that keeps dying sooner is given up.
        auto_restart: Whether it is started again when it ends.
        stop_seconds: How long it may take to end in good order before it is killed.
        address: Where it answers, and what else `flywheel status` should say of it.
    """

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    directory: Path | None = None
    user: str | None = None
    stop_signal: str = "TERM"
    start_seconds: int = 1
    auto_restart: bool = True
    stop_seconds: int = 10
    address: str = ""


@dataclass(frozen=True)
class ProgramState:
    """What supervisord says of a program: RUNNING, STARTING, BACKOFF, FATAL, STOPPED, EXITED, STOPPING."""

    name: str
    state: str
    pid: int | None
    message: str


def socket_path(settings: Settings) -> Path:
    """Return supervisord's socket: in the home, or under the system's temporary folder when that path is too long."""
    usual = settings.root / "run" / "supervisor.sock"
    if len(os.fsencode(usual)) <= MAX_SOCKET_PATH:
        return usual
    name = hashlib.sha256(os.fsencode(settings.root)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"flywheel-{os.getuid()}-{name}" / "supervisor.sock"


def clean_environment(settings: Settings) -> dict[str, str]:
    """Return the environment of every program: nothing of the caller's secrets, this interpreter's programs first."""
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return {**kept, **QUIET, "FLYWHEEL_HOME": str(settings.root), "PYTHONUNBUFFERED": "1"}


def program_path(settings: Settings, name: str) -> Path:
    """Return the file that says what a program is."""
    return settings.root / "supervisor" / "programs" / f"{name}.json"


def program_address(settings: Settings, name: str) -> str:
    """Return the address that a written program names; '' where it names none."""
    try:
        return str(json.loads(program_path(settings, name).read_text()).get("address", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def write_program(settings: Settings, program: Program) -> None:
    """Write the files of a program; nothing starts yet."""
    file = program_path(settings, program.name)
    write_private(file, json.dumps(asdict(program), default=str, indent=1))
    conf = PROGRAM.format(
        name=program.name,
        python=_quoted(sys.executable),
        home=_quoted(settings.root),
        file=_quoted(file),
        restart="true" if program.auto_restart else "false",
        start_seconds=max(program.start_seconds, 1),  # at 0 a program that dies at once is restarted in a tight loop
        stop_signal=program.stop_signal,
        stop_seconds=program.stop_seconds,
    )
    write_private(_conf_path(settings, program.name), conf)


def start_program(settings: Settings, name: str) -> None:
    """Have supervisord run a written program; one that runs already is left alone.

    Raises:
        StackError: The supervisor does not answer, or refuses.
    """
    _call(settings, "reloadConfig")
    if name not in program_states(settings):
        _call(settings, "addProcessGroup", name)
    elif program_states(settings)[name].state not in {"RUNNING", "STARTING", "BACKOFF"}:
        _call(settings, "startProcess", name, False)


def stop_and_remove_program(settings: Settings, name: str) -> None:
    """Stop a program and forget its files; one that is not there is no fault.

    Raises:
        StackError: The supervisor does not answer, or the program does not stop.
    """
    if name in program_states(settings):
        _call(settings, "stopProcessGroup", name)
        _call(settings, "removeProcessGroup", name)
    _conf_path(settings, name).unlink(missing_ok=True)
    program_path(settings, name).unlink(missing_ok=True)
    _call(settings, "reloadConfig")


def program_states(settings: Settings) -> dict[str, ProgramState]:
    """Return the state of every program, by name.

    Raises:
        StackError: The supervisor does not answer.
    """
    found = cast("list[dict[str, Any]]", _call(settings, "getAllProcessInfo"))
    return {
        one["name"]: ProgramState(
            one["name"], one["statename"], one["pid"] or None, one["spawnerr"] or one["description"]
        )
        for one in found
    }


def start_supervisor(settings: Settings, *, deadline: float = 20.0) -> int:
    """Start supervisord in a session of its own, without programs, and wait until it answers; return its pid.

    Raises:
        StackError: It does not answer within `deadline` seconds.
    """
    root, path = settings.root, socket_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Under the temporary folder anybody may have been there first.
    if path.parent != root / "run" and path.parent.stat().st_uid != os.geteuid():
        raise StackError(f"{path.parent} belongs to somebody else. Set FLYWHEEL_HOME to a folder with a shorter path.")
    path.unlink(missing_ok=True)
    (root / "logs").mkdir(parents=True, exist_ok=True)
    user = "user=root" if os.geteuid() == 0 else ""  # else it warns that it kept root's rights
    conf = root / "supervisor" / "supervisord.conf"
    write_private(
        conf, CONFIGURATION.format(home=str(root).replace("%", "%%"), socket=str(path).replace("%", "%%"), user=user)
    )
    command = [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-n", "-c", str(conf)]
    pid = _spawn(settings, recorded_command(root, "supervisord", command))
    _await_answer(settings, pid, deadline)
    return pid


def shut_down(settings: Settings) -> None:
    """Ask supervisord to stop its programs and end.

    Raises:
        StackError: It does not answer.
    """
    _call(settings, "stopAllProcesses", False)  # all at once; by itself, shutdown waits for one after the other
    _call(settings, "shutdown")


def _conf_path(settings: Settings, name: str) -> Path:
    return settings.root / "supervisor" / "conf.d" / f"{name}.conf"


def _await_answer(settings: Settings, pid: int, deadline: float) -> None:
    log = settings.root / "logs" / "supervisord.log"
    until = time.monotonic() + deadline
    while True:
        try:
            _call(settings, "getState")
        except StackError as fault:
            if started_ticks(pid) is None or time.monotonic() > until:
                raise StackError(f"supervisor did not start. See its log: {log}.") from fault
            time.sleep(0.05)
        else:
            return


def _spawn(settings: Settings, command: list[str]) -> int:
    log = str(settings.root / "logs" / "supervisord.log")
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    # A session of its own: Ctrl-C in the terminal of `flywheel up` must not reach it. Nor may it fall between start and
    # record; `launch` records the process too, but only after it has been started for a while.
    with undisturbed():
        pid = os.posix_spawn(
            command[0], command, clean_environment(settings), file_actions=actions, setsid=True, setsigmask=[]
        )
        record(settings.root, "supervisord", pid=pid)
    return pid


def _quoted(word: object) -> str:
    text = str(word).replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _call(settings: Settings, method: str, *arguments: object) -> object:
    path = socket_path(settings)
    try:
        with xmlrpc.client.ServerProxy("http://supervisor", transport=_UnixTransport(path)) as server:
            return cast("object", getattr(server.supervisor, method)(*arguments))
    except xmlrpc.client.Fault as fault:
        raise StackError(f"supervisor refuses {method} {arguments}: {fault.faultString}.") from fault
    except (OSError, http.client.HTTPException) as fault:
        raise StackError(f"No supervisor answers for {settings.root}. Start the stack with `flywheel up`.") from fault


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = _UnixConnection(self._path)
        self._connection = (host, connection)  # where the base class looks when it closes
        return connection


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connected.settimeout(self.timeout)
        try:
            connected.connect(str(self._path))
        except OSError:
            connected.close()
            raise
        self.sock = connected
