"""What a rollout under way waits for, in the controller's words, as far as its plan and its events say it. Pure.

How far the evidence is at the present step stands on no record yet: `flywheel status` shows that.
"""

from collections.abc import Iterator
from datetime import datetime

from registry.rollouts.charts import span
from registry.rollouts.record import COMPARED, OPEN, Phase, Record


def waits_for(record: Record, now: datetime) -> str:
    """Return what makes a rollout go on, in sentences; "" when it is over."""
    if not record.is_under_way:
        return ""
    return _for_the_next_step(record, now) if record.phase in OPEN else _after_the_last_step(record, now)


def _for_the_next_step(record: Record, now: datetime) -> str:
    if record.paused is not None:
        return f"Paused by {record.paused.rstrip('.')}. `flywheel resume {record.model}` lets it go on."
    if record.phase is Phase.STARTING:
        return " ".join([_starts(record), *_delays(record, now)])
    if not record.confirmed:
        return "The gateway has to confirm its traffic, as `flywheel status` says."
    if record.phase is Phase.HELD and not record.allowed:
        return record.reason
    return " ".join([_evidence(record), *_delays(record, now)])


def confirmed_at(record: Record) -> datetime:
    """Return when its traffic last changed, as the gateway confirmed it."""
    done = (one.event.at for one in reversed(record.moments) if one.event.body.get("state") == "done")
    return next(done, record.started)


def _after_the_last_step(record: Record, now: datetime) -> str:
    if record.phase is Phase.BAKING and record.old is not None:
        left = (record.plan.way.bake - (now - confirmed_at(record))).total_seconds()
        return f"Version {record.old.number} stays warm{f' for another {span(left)}' if left > 0 else ' no longer'}."
    return f"{record.title.capitalize()}: the gateway has to confirm its traffic, as `flywheel status` says."


def _starts(record: Record) -> str:
    who = f"{record.title.capitalize()} {'have' if record.others else 'has'} to start and answer"
    if record.old is None or record.rollback:
        return f"{who}; then all of the traffic goes to it."
    return f"{who}."


def _evidence(record: Record) -> str:
    if record.plan.experiment:
        return "Its measure has to say who takes over; `flywheel status` shows how far it is."
    step = f"The step to {_share(record)}"
    if record.allowed:
        return f"{step} comes next: people let it go on."
    return f"{step} waits for the evidence; `flywheel status` shows how far it is."


def _delays(record: Record, now: datetime) -> Iterator[str]:
    """Say what the next step waits for besides the evidence, in the controller's order."""
    way, percent = record.plan.way, _next_percent(record)
    if record.old is None or record.rollback or record.allowed:
        return
    if percent in way.manual:
        yield f"Then it waits for people: `flywheel promote {record.model}`."
    left = (way.pause - (now - confirmed_at(record))).total_seconds()
    if record.phase in COMPARED and left > 0:
        yield f"It pauses at each step: the next one may come in {span(left)}, not before."
    if way.windows and not any(window.holds(now) for window in way.windows):
        yield f"It waits for its time: {' or '.join(window.told() for window in way.windows)}."


def _next_percent(record: Record) -> int:
    step = record.step + 1
    return record.plan.steps[step] if step < len(record.plan.steps) else 100


def _share(record: Record) -> str:
    percent = _next_percent(record)
    return "all of the traffic" if percent == 100 else f"{percent} %" if percent else "the shadow"
