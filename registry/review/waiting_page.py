"""The list of versions that wait for a decision, newest first, with what each still lacks."""

from collections.abc import Iterator
from datetime import UTC, datetime

import sqlalchemy as sa
from flask import Flask, Response, request
from mlflow.server import handlers
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
from sqlalchemy.dialects.postgresql import JSONB

from flywheel.events import EVENTS, EventKind
from flywheel.policy import Policy
from registry.caller import floor_policy
from registry.review import render
from registry.review.waiting import KINDS, LACKS, STAGES, Case, Docket, Row, Waiting, leaf, read_wish, waiting
from registry.store.gate import GateStore

DOCKET = Docket()
NOTHING = Case()


def add_pages(app: Flask) -> None:
    """Add the list."""
    app.add_url_rule(f"{render.PREFIX}/", "flywheel_waiting", _waiting_page)


def _waiting_page() -> Response:
    try:
        wish = read_wish(request.args)
    except ValueError as fault:
        return render.missing(400, str(fault))
    store: GateStore = handlers._get_model_registry_store()
    policy = floor_policy()
    with store.engine.connect() as connection:
        catch_up(connection, DOCKET)
        rows = list(_rows(connection, policy))
    return render.page(
        "waiting.html",
        200,
        leaf=leaf(rows, wish),
        wish=wish,
        anything=bool(rows),
        models=sorted({row.name for row in rows})[:500],
        stages=STAGES,
        lacks=LACKS,
        reviewers=sorted(policy.reviewers()),
        now=datetime.now(UTC),
    )


def catch_up(connection: sa.Connection, docket: Docket) -> None:
    """Take in the events that were added since the docket was read last."""
    measured = EVENTS.c.kind == str(EventKind.GATE_MEASURED)
    body = sa.cast(EVENTS.c.body, JSONB)
    query = (
        sa.select(
            EVENTS.c.seq,
            EVENTS.c.kind,
            EVENTS.c.subject,
            EVENTS.c.actor,
            sa.case((measured, body["gate"].astext)),
            sa.case((measured, body["outcome"].astext)),
        )
        .where(EVENTS.c.seq > docket.seq, EVENTS.c.kind.in_([str(kind) for kind in KINDS]))
        .order_by(EVENTS.c.seq)
    )
    with docket.lock:
        docket.take(Row(*row) for row in connection.execute(query))


def _rows(connection: sa.Connection, policy: Policy) -> Iterator[Waiting]:
    columns = (SqlModelVersion.name, SqlModelVersion.version, SqlModelVersion.current_stage)
    query = (
        sa.select(*columns, SqlModelVersion.creation_time)
        .where(SqlModelVersion.current_stage.in_(STAGES))
        .order_by(SqlModelVersion.creation_time.desc(), SqlModelVersion.version.desc())
    )
    required: dict[str, tuple[str, ...]] = {}
    for name, version, stage, made in connection.execute(query):
        if name not in required:
            required[name] = policy.for_model(name).gates.required
        case = DOCKET.cases.get(f"{name}/{version}", NOTHING)
        yield waiting(name, version, stage, datetime.fromtimestamp(made / 1000, UTC), case, required[name])
