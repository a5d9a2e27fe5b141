"""The list of versions that wait for a decision, newest first, with what each still lacks."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from threading import Thread

import sqlalchemy as sa
from flask import Flask, Response, request
from mlflow.server import handlers
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
from sqlalchemy.dialects.postgresql import JSONB

from flywheel.events import EVENTS, EventKind
from flywheel.policy import Policy
from registry.caller import floor_policy
from registry.review import render
from registry.review.waiting import (
    KINDS,
    LACKS,
    STAGES,
    Case,
    Docket,
    Entry,
    Leaf,
    Row,
    Waiting,
    Wish,
    fits,
    leaf,
    read_wish,
    waiting,
)
from registry.store.gate import GateStore

DOCKET = Docket()
NOTHING = Case()
SUGGESTED = 500  # names of models beside the search field
EMPTY = sa.text("'{}'::jsonb")


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
        entries = _entries(connection)
        found = _found(connection, entries, wish, policy)
    return render.page(
        "waiting.html",
        200,
        leaf=found,
        wish=wish,
        anything=bool(entries),
        models=sorted({entry.name for entry in entries})[:SUGGESTED],
        stages=STAGES,
        lacks=LACKS,
        reviewers=sorted(policy.reviewers()),
        now=datetime.now(UTC),
    )


def _found(connection: sa.Connection, entries: Sequence[Entry], wish: Wish, policy: Policy) -> Leaf[Waiting]:
    """Choose one page; only a question for what is missing needs the cases of all versions."""
    fitting = [entry for entry in entries if fits(entry, wish)]
    demands = Demands(policy)
    if wish.lack:
        catch_up(connection, DOCKET)
        told = (waiting(entry, DOCKET.cases.get(entry.subject, NOTHING), demands.of(entry)) for entry in fitting)
        return leaf([one for one in told if wish.lack in one.lacks], wish.page)
    if not DOCKET.seq:  # who asks for what is missing comes from here, and would wait for the first reading
        Thread(target=_warm, args=(connection.engine,), daemon=True).start()
    cut = leaf(fitting, wish.page)
    shown = Docket()
    shown.take(_events(connection, EVENTS.c.subject.in_([entry.subject for entry in cut.rows])))
    rows = [waiting(entry, shown.cases.get(entry.subject, NOTHING), demands.of(entry)) for entry in cut.rows]
    return Leaf(rows, cut.total, cut.page, cut.pages)


def _warm(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        catch_up(connection, DOCKET)


class Demands:
    """Which gates each model needs; a policy's sections are laid over it once a model."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._known: dict[str, tuple[str, ...]] = {}

    def of(self, entry: Entry) -> tuple[str, ...]:
        """Return the gates that a version's model needs."""
        if entry.name not in self._known:
            self._known[entry.name] = self._policy.for_model(entry.name).gates.required
        return self._known[entry.name]


def catch_up(connection: sa.Connection, docket: Docket) -> None:
    """Take in the events that were added since the docket was read last."""
    with docket.lock:
        docket.take(_events(connection, EVENTS.c.seq > docket.seq))


def _events(connection: sa.Connection, which: sa.ColumnElement[bool]) -> Iterator[Row]:
    # One function call a row, so that each body is parsed once.
    body = sa.func.jsonb_to_record(
        sa.case((EVENTS.c.kind == str(EventKind.GATE_MEASURED), sa.cast(EVENTS.c.body, JSONB)), else_=EMPTY)
    )
    said = body.table_valued(sa.column("gate", sa.Text), sa.column("outcome", sa.Text)).render_derived(with_types=True)
    query = (
        sa.select(EVENTS.c.seq, EVENTS.c.kind, EVENTS.c.subject, EVENTS.c.actor, said.c.gate, said.c.outcome)
        .join(said, sa.true())
        .where(which, EVENTS.c.kind.in_([str(kind) for kind in KINDS]))
        .order_by(EVENTS.c.seq)
    )
    return (Row(*row) for row in connection.execute(query))


def _entries(connection: sa.Connection) -> list[Entry]:
    columns = (SqlModelVersion.name, SqlModelVersion.version, SqlModelVersion.current_stage)
    query = (
        sa.select(*columns, SqlModelVersion.creation_time)
        .where(SqlModelVersion.current_stage.in_(STAGES))
        .order_by(SqlModelVersion.creation_time.desc(), SqlModelVersion.version.desc())
    )
    return [
        Entry(name, version, stage, datetime.fromtimestamp(made / 1000, UTC))
        for name, version, stage, made in connection.execute(query)
    ]
