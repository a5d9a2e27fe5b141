"""Engines on the stack's database."""

import socket
import time
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from flywheel import database
from flywheel.settings import Settings


def test_a_server_that_says_nothing_is_given_up_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+psycopg2://controller:secret@127.0.0.1:{silent.getsockname()[1]}/flywheel"
        monkeypatch.setattr(database, "secrets", lambda _: SimpleNamespace(databases={"controller": url}))
        monkeypatch.setitem(database.PATIENCE, "connect_timeout", 2)
        began = time.monotonic()
        with database.open_database(Settings(), "controller") as engine, pytest.raises(sa.exc.OperationalError):
            engine.connect()
        assert time.monotonic() - began < 10
