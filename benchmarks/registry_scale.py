"""Ten thousand versions of one model: how long do the review page and the history take?"""

import hashlib
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
import sqlalchemy as sa

from benchmarks.registry_servers import Server
from flywheel import events
from flywheel.events import Event, EventKind
from flywheel.goals import Goal, goal

VERSIONS = 10_000
MODEL = "many"
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
VERSION_ROWS = sa.text(
    "INSERT INTO model_versions (workspace, name, version, creation_time, last_updated_time, current_stage, source, "
    "storage_location, run_id, status) SELECT COALESCE(m.workspace, 'default'), m.name, n, :begin + n * 60000, "
    ":begin + n * 60000, CASE WHEN n = :last THEN 'Staging' WHEN n = :last - 1 THEN 'Production' ELSE 'Archived' END, "
    "'mlflow-artifacts:/0/' || md5(n::text) || '/artifacts/model', "
    "'mlflow-artifacts:/0/' || md5(n::text) || '/artifacts/model', NULL, 'READY' "
    "FROM registered_models m, generate_series(1, :last) n WHERE m.name = :model"
)


def fill(server: Server, engine: sa.Engine) -> int:
    """Register ten thousand versions with the events that they would have left; return how many events.

    They are written to the database as the gate would have: through the API it would take an hour.
    """
    server.made(server.session("ada"), "registered-models/create", name=MODEL)
    with engine.begin() as connection:
        head = events.lock_head(connection)
        made = list(_trail(head))
        # The triggers ask for every event one by one; in bulk they are off, and the chain is verified afterwards.
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        connection.execute(VERSION_ROWS, {"begin": int(BEGIN.timestamp() * 1000), "last": VERSIONS, "model": MODEL})
        connection.execute(
            sa.text(
                "INSERT INTO flywheel.events (seq, kind, subject, actor, at, body, previous, hash, transaction) "
                "VALUES (:seq, :kind, :subject, :actor, :at, :body, :previous, :hash, pg_current_xact_id())"
            ),
            [_row(event) for event in made],
        )
        end = {"seq": made[-1].seq, "hash": made[-1].hash}
        connection.execute(sa.text("UPDATE flywheel.chain_head SET seq = :seq, hash = :hash"), end)
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(sa.text("ANALYZE"))
        events.verify(events.read(connection), events.read_head(connection))
    return len(made)


def measure(server: Server, rounds: int = 15) -> tuple[list[Goal], list[dict[str, Any]]]:
    """Time the pages and the history over one kept connection as a reviewer."""
    session = server.session("grace")
    paths = {
        "review page": f"/flywheel/review/{MODEL}/{VERSIONS}",
        "list of versions": "/flywheel/review/",
        "history": f"/flywheel/api/history/{MODEL}",
        "history at a time": f"/flywheel/api/history/{MODEL}?at=2024-01-05T00:00:00Z",
    }
    took = {what: _median(session, server.url + path, rounds) for what, path in paths.items()}
    goals = [
        goal("review_page_ms", round(max(took["review page"], took["list of versions"]), 1), "<=", 1000),
        goal("history_ms", round(max(took["history"], took["history at a time"]), 1), "<=", 200),
    ]
    return goals, [{"what": f"{what}, 10,000 versions", "median ms": round(ms, 1)} for what, ms in took.items()]


def _median(session: requests.Session, url: str, rounds: int) -> float:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        session.get(url, timeout=120).raise_for_status()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def _trail(head: events.Head) -> Iterator[Event]:
    at = BEGIN
    for number in range(1, VERSIONS + 1):
        digest = f"sha256:{hashlib.sha256(str(number).encode()).hexdigest()}"
        for kind, subject, actor, body in _life(str(number), digest):
            at += timedelta(seconds=20)
            event = events.chained(head, kind, subject, actor, body, at)
            head = events.Head(event.seq, event.hash)
            yield event


def _life(version: str, digest: str) -> Iterator[tuple[EventKind, str, str, dict[str, Any]]]:
    subject, named = f"{MODEL}/{version}", {"model": MODEL, "version": version, "digest": digest}
    yield (EventKind.VERSION_CREATED, subject, "ada", {**named, "author": "ada", "source": "", "run_id": None})
    if version == str(VERSIONS):
        yield EventKind.TRANSITION, subject, "ada", {**named, "from": "None", "to": "Staging", "author": "ada"}
        return
    yield EventKind.TRANSITION, subject, "grace", {**named, "from": "None", "to": "Production", "author": "ada"}
    before = str(int(version) - 1) if version != "1" else None
    moved = {"model": MODEL, "alias": "champion", "from": before, "version": version}
    yield EventKind.ALIAS_MOVED, subject, "svc-controller", moved
    if before:
        archived = {"model": MODEL, "version": before, "digest": None, "from": "Production", "to": "Archived"}
        yield EventKind.TRANSITION, f"{MODEL}/{before}", "svc-controller", {**archived, "author": "ada"}


def _row(event: Event) -> dict[str, Any]:
    return {
        "seq": event.seq,
        "kind": str(event.kind),
        "subject": event.subject,
        "actor": event.actor,
        "at": event.at,
        "body": events.canonical(event.body),
        "previous": event.previous,
        "hash": event.hash,
    }
