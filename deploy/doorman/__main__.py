"""`python -m deploy.doorman --home HOME`: answers Envoy, and reads the audit trail beside that."""

import argparse
import asyncio
import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
import structlog
import uvloop

from deploy.doorman.counts import DoorCounts
from deploy.doorman.door import Door
from deploy.doorman.quotas import Quotas
from deploy.doorman.server import Connection
from deploy.doorman.tokens import Book, load, read_trail, save
from flywheel.connections import secrets
from flywheel.errors import FlywheelError
from flywheel.serving import load_serving
from flywheel.settings import Settings
from flywheel.stack.gateway import doorman_socket
from flywheel.stack.gateway_door import DOORMAN
from flywheel.textfile import Textfile

log = structlog.get_logger("doorman")
READ_SECONDS = 0.5
# The copy is written when a token changes, and now and then to say that the trail was read.
SAVE_EVERY = timedelta(seconds=60)
# The server ends what takes too long; where the server itself is gone without a word, the kernel notices.
LIMITS = {
    "connect_timeout": 2,
    "options": "-c statement_timeout=1000",
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 3000,
}


class Copy:
    """The book of tokens, kept up to date by a thread of its own; whoever asks gets the last one whole."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._path = settings, settings.root / "run" / "tokens.json"
        self.book, self._saved, self._down = load(self._path), datetime.min.replace(tzinfo=UTC), False

    def follow(self, stop: threading.Event) -> None:
        """Read the trail until `stop`; a database that is down is said once, and tried again."""
        engine: sa.Engine | None = None
        while not stop.is_set():
            try:
                engine = engine or self._engine()
                self._read(engine)
                self._down = False
            except (sa.exc.SQLAlchemyError, FlywheelError, OSError) as fault:
                if not self._down:  # the text of a fault of SQLAlchemy may be long, but holds no password
                    log.warning("the audit trail cannot be read; known tokens stay", fault=type(fault).__name__)
                self._down = True
            stop.wait(READ_SECONDS)

    def _engine(self) -> sa.Engine:
        url = secrets(self._settings).databases["reader"]
        return sa.create_engine(url, connect_args=LIMITS, pool_size=1)

    def _read(self, engine: sa.Engine) -> None:
        now = datetime.now(UTC)
        with engine.connect() as connection:
            book = read_trail(connection, self.book, now)
        changed = book.tokens != self.book.tokens or book.seq != self.book.seq
        self.book = book
        if changed or now - self._saved > SAVE_EVERY:
            save(self._path, book)
            self._saved = now


async def serve(settings: Settings) -> None:
    """Answer on the socket until SIGTERM or SIGINT."""
    socket, stop, ended = doorman_socket(settings), threading.Event(), asyncio.Event()
    copy = Copy(settings)
    quotas = Quotas(settings.root / "run" / "quotas.jsonl", _now)
    door = Door(load_serving(settings.root).gateway, _book(copy), quotas, _now)
    reader = threading.Thread(target=copy.follow, args=(stop,), daemon=True)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    socket.parent.mkdir(parents=True, exist_ok=True)
    socket.unlink(missing_ok=True)
    told = Textfile(settings.root, DOORMAN)
    judge = DoorCounts(told, _book(copy)).watched(door.judge)
    server = await loop.create_unix_server(lambda: Connection(judge), socket)
    socket.chmod(0o600)
    reader.start()
    log.info("doorman answers", socket=str(socket), tokens=len(copy.book.tokens))
    with told.kept():
        await ended.wait()
    stop.set()
    server.close()
    quotas.close()


def _book(copy: Copy) -> Callable[[], Book]:
    return lambda: copy.book


def _now() -> datetime:
    return datetime.now(UTC)


def main() -> None:
    """Run the doorman."""
    parser = argparse.ArgumentParser(prog="deploy.doorman", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="The stack's home.")
    uvloop.run(serve(Settings(home=parser.parse_args().home)))


if __name__ == "__main__":
    main()
