"""What people say of alerts becomes an event, judged under the chain's lock: nothing is said of what is not there."""

from datetime import UTC, datetime, timedelta

from flywheel import events
from flywheel.alerts import EVERYWHERE, TROUBLES, Alert, Silence, read_board
from flywheel.events import EventKind
from flywheel.identities import SERVICES
from registry.caller import conflict, denied, floor_policy, policy_of
from registry.history.operators import require_operator
from registry.store.gate import GateStore

LONGEST_SILENCE = timedelta(days=90)


def acknowledge(store: GateStore, actor: str, alert: str, because: str) -> Alert:
    """Record that somebody knows of an open alert; it is told again only when it gets worse or is over.

    Raises:
        MlflowException: The actor may not (403), or no such alert is open (409).
    """
    return _of_alert(store, actor, alert, because, EventKind.ALERT_ACKNOWLEDGED)


def close(store: GateStore, actor: str, alert: str, because: str) -> Alert:
    """Record that an alert is over by somebody's word; a look that finds it again opens it anew.

    Raises:
        MlflowException: The actor may not (403), or no such alert is open (409).
    """
    return _of_alert(store, actor, alert, because, EventKind.ALERT_CLOSED)


def silence(
    store: GateStore, actor: str, *, use_case: str, kind: str, key: str, until: datetime, because: str
) -> Silence:
    """Record that nobody is told of what fits until a time (UTC); '' fits everything.

    Raises:
        MlflowException: The actor may not (403); the time is past or too far away, or there is no such kind (409).
    """
    now = datetime.now(UTC)
    if not now < until <= now + LONGEST_SILENCE:
        raise conflict(f"A silence ends within {LONGEST_SILENCE.days} days from now, not at {until:%Y-%m-%d %H:%M}.")
    if kind and kind not in TROUBLES:
        raise conflict(f"No alert is of kind '{kind}'. Kinds: {', '.join(TROUBLES)}.")
    subject = use_case or EVERYWHERE
    body = {"kind": kind, "key": key, "until": until.isoformat(), "because": because}
    what = f"Silencing alerts of {use_case or 'all use cases'}"
    _require(actor, what)
    with store.transaction() as connection:
        require_operator(policy_of(connection), actor, what)
        made = events.append(connection, EventKind.ALERT_SILENCED, subject, actor, body)
    return Silence(str(made.seq), use_case, kind, key, until, actor, because)


def end_silence(store: GateStore, actor: str, number: str, because: str) -> Silence:
    """Record that a silence is over before its time.

    Raises:
        MlflowException: The actor may not (403), or no such silence holds (409).
    """
    what = f"Ending silence {number}"
    _require(actor, what)
    with store.transaction() as connection:
        require_operator(policy_of(connection), actor, what)
        known = read_board(connection).silences.get(number)
        if known is None or known.until <= datetime.now(UTC):
            raise conflict(f"No silence {number} holds. `flywheel alerts list` names those that do.")
        body = {"id": number, "because": because}
        events.append(connection, EventKind.ALERT_UNSILENCED, known.use_case or EVERYWHERE, actor, body)
    return known


def _of_alert(store: GateStore, actor: str, name: str, because: str, kind: EventKind) -> Alert:
    what = f"{'Closing' if kind == EventKind.ALERT_CLOSED else 'Acknowledging'} alert {name}"
    _require(actor, what)
    with store.transaction() as connection:
        require_operator(policy_of(connection), actor, what)
        known = read_board(connection).alerts.get(name)
        if known is None:
            raise conflict(f"No alert {name} is open. `flywheel alerts list` names those that are.")
        body = {"id": name, "because": because, "what": known.finding.what}
        events.append(connection, kind, known.use_case, actor, body)
    return known


def _require(actor: str, what: str) -> None:
    if actor in SERVICES:
        raise denied(f"{what} refused: '{actor}' is a service, and this is for people to say.")
    require_operator(floor_policy(), actor, what)
