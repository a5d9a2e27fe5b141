"""What people say of a rollout: pause, resume, allow. One event, with who said it and why; the controller acts by it.

Nothing is said of a rollout that is not there: whether one is under way is judged under the chain's lock, in the
transaction that records the event. Harm rolls a rollout back whatever people said.
"""

import sqlalchemy as sa

from flywheel import events
from flywheel.identities import SERVICES
from registry.caller import conflict, denied, floor_policy, policy_of
from registry.history.operators import require_operator
from registry.rollouts import trail
from registry.rollouts.record import Record
from registry.rollouts.sayings import WORDS, Saying
from registry.store.gate import GateStore


def say(
    store: GateStore, model: str, actor: str, saying: Saying, because: str, *, rollout: str | None = None
) -> Record:
    """Record what a person says of the rollout that is under way, and return that as it was before.

    Args:
        store: Of this server.
        model: The use case.
        actor: Who says it.
        saying: What.
        because: Why; for the record.
        rollout: The one that is meant; any by default.

    Raises:
        MlflowException: There is no such model (404), or the actor may not operate it (403); no rollout is under way,
            it is another than the one named, or the saying changes nothing (409).
    """
    word = WORDS[saying]
    what = f"{word.begins} the rollout of '{model}'"
    if actor in SERVICES:
        raise denied(f"{what} refused: '{actor}' is a service, and this is for people to say.")
    require_operator(floor_policy(), actor, what)
    store.get_registered_model(model)
    with store.transaction() as connection:
        require_operator(policy_of(connection), actor, what)
        found = _under_way(connection, model, rollout)
        refusal = word.why_not(found)
        if refusal is not None:
            raise conflict(refusal)
        body = {"rollout": found.name, "version": found.new.number, "reason": because}
        events.append(connection, word.kind, f"{model}/{found.new.number}", actor, body)
    return found


def _under_way(connection: sa.Connection, model: str, rollout: str | None) -> Record:
    found = trail.current(connection, model)
    if found is None:
        raise conflict(f"No rollout of '{model}' is under way. `flywheel history {model}` says what is live.")
    if rollout is not None and rollout != found.name:
        raise conflict(
            f"Rollout '{rollout}' of '{model}' is not under way, '{found.name}' is. Look at that, and say it again."
        )
    return found
