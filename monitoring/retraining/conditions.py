"""The conditions of a retraining, each with its value, its limit and a sentence; pure.

A *trigger* is a reason to train: harm, age, volume of new labels. A *guard* must hold whatever the reason: one at a
time, cooldown, wait after failures, budgets. Each guard also says from when on it would hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from flywheel.monitor_spec import Retrain
from monitoring.performance.harm import Verdict
from monitoring.retraining.evidence import Attempt, End, Evidence, Looked

MONTH = timedelta(days=30)
SHORTEST_WAIT = timedelta(hours=1)  # what is doubled after a failure where there is no cooldown
MOST_DOUBLINGS = 4  # sixteen times the cooldown is long enough for somebody to have read the alert
UNSUCCESSFUL = (End.FAILED, End.REFUSED, End.DIED)


class Reason(StrEnum):
    """Why one is trained; also the triggers' names."""

    HARM = "harm"
    AGE = "age"
    NEW_LABELS = "new_labels"


@dataclass(frozen=True)
class Condition:
    """One of the conditions.

    Attributes:
        name: harm, age, new_labels; running, cooldown, backoff, month, total.
        value: What is; days for times, None where it is not known.
        limit: What it is held against; None: this use case has none.
        met: For a trigger that it asks for a training, for a guard that it lets one start.
        sentence: The same for people.
        until: A guard's earliest time; None where it holds, or where time alone does not help.
    """

    name: str
    value: float | None
    limit: float | None
    met: bool
    sentence: str
    until: datetime | None = None

    def body(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        until = None if self.until is None else self.until.isoformat()
        return {
            "name": self.name,
            "value": self.value,
            "limit": self.limit,
            "met": self.met,
            "sentence": self.sentence,
            "until": until,
        }


def triggers(evidence: Evidence, policy: Retrain) -> tuple[Condition, ...]:
    """Hold the evidence against each reason to train, the gravest first."""
    return _harm(evidence, policy), _age(evidence, policy), _new_labels(evidence, policy)


def guards(evidence: Evidence, policy: Retrain) -> tuple[Condition, ...]:
    """Hold the retrainings before against what must hold for another."""
    attempts, now = evidence.attempts, evidence.now
    return (
        _single(attempts),
        _cooldown(attempts, now, policy),
        _backoff(attempts, now, policy),
        _month(attempts, now, policy),
        _total(attempts, policy),
    )


def relevant_windows(evidence: Evidence, policy: Retrain) -> tuple[Looked, ...]:
    """Return the last windows that could be judged, share no day, and lie wholly behind the newest training.

    What versions before it answered says nothing about it; and while it waits for its reviewers, their harm must not
    start another. Where windows overlap (a week, judged each day), one bad day would show in many of them: from the
    newest back, each window counts that ends before the one after it begins.
    """
    trained = [attempt.as_of for attempt in evidence.attempts if attempt.end == End.REGISTERED]
    since = max([*trained, evidence.trained_at or datetime.min])
    kept: list[Looked] = []
    for one in reversed(evidence.windows):
        is_apart = not kept or one.end <= kept[-1].start
        if one.start >= since and one.verdict != Verdict.TOO_FEW and is_apart:
            kept.append(one)
    return tuple(reversed(kept[: policy.harm.of]))


def failures_in_a_row(attempts: Sequence[Attempt]) -> int:
    """Count the retrainings without a version since the last that registered one."""
    count = 0
    for attempt in reversed(attempts):
        if attempt.end == End.REGISTERED:
            break
        count += attempt.end in UNSUCCESSFUL
    return count


def wait_after(failures: int, policy: Retrain) -> timedelta:
    """Return the least time between a failed retraining and the next: the cooldown, doubled for each in a row."""
    return max(policy.cooldown, SHORTEST_WAIT) * (1 << min(failures, MOST_DOUBLINGS))


def _harm(evidence: Evidence, policy: Retrain) -> Condition:
    windows, need = relevant_windows(evidence, policy), policy.harm
    harmed = [one for one in windows if one.verdict == Verdict.HARM]
    newest = evidence.windows[-1] if evidence.windows else None
    is_newest = bool(harmed) and newest == harmed[-1]
    met = is_newest and len(harmed) >= need.windows
    found = f"{len(harmed)} of the last {len(windows)} judged windows show harm"
    if met and windows[-1].basis == "estimated":
        found += " (the newest by an estimate, before its outcomes)"
    if harmed and not is_newest:
        found += ", and the newest window does not"
    sentence = f"{found}; {need.windows} of {need.of} with the newest among them start a training."
    return Condition(Reason.HARM, len(harmed), need.windows, met, sentence)


def _age(evidence: Evidence, policy: Retrain) -> Condition:
    age, limit = evidence.age, policy.max_age
    if limit is None:
        return Condition(Reason.AGE, _days(age), None, False, "Age starts no training here.")
    if age is None:
        return Condition(Reason.AGE, None, _days(limit), False, "How old the champion is, is not known.")
    sentence = f"The champion knows nothing of the last {_text(age)}; {_text(limit)} start a training."
    return Condition(Reason.AGE, _days(age), _days(limit), age >= limit, sentence)


def _new_labels(evidence: Evidence, policy: Retrain) -> Condition:
    count, limit = evidence.new_labels, policy.new_labels
    if limit is None:
        return Condition(Reason.NEW_LABELS, count, None, False, "The number of new labels starts no training here.")
    if count is None:
        return Condition(Reason.NEW_LABELS, None, limit, False, "New labels were not counted.")
    sentence = f"{count:,} labels are new to the champion; {limit:,} start a training."
    return Condition(Reason.NEW_LABELS, count, limit, count >= limit, sentence)


def _single(attempts: Sequence[Attempt]) -> Condition:
    running = [attempt for attempt in attempts if attempt.end == End.RUNNING]
    if not running:
        return Condition("running", 0, 0, True, "No retraining runs.")
    sentence = f"The one as of {running[-1].as_of:%Y-%m-%d} still runs; one at a time."
    return Condition("running", len(running), 0, False, sentence)


def _cooldown(attempts: Sequence[Attempt], now: datetime, policy: Retrain) -> Condition:
    limit = policy.cooldown
    if not attempts:
        return Condition("cooldown", None, _days(limit), True, "There was no retraining before.")
    last = max(attempt.as_of for attempt in attempts)
    until = last + limit
    if now >= until:
        return Condition("cooldown", _days(now - last), _days(limit), True, f"The last was as of {last:%Y-%m-%d}.")
    sentence = f"The last retraining was as of {last:%Y-%m-%d}; cooldown until {until:%Y-%m-%d}."
    return Condition("cooldown", _days(now - last), _days(limit), False, sentence, until)


def _backoff(attempts: Sequence[Attempt], now: datetime, policy: Retrain) -> Condition:
    failures = failures_in_a_row(attempts)
    if not failures:
        return Condition("backoff", 0, None, True, "The last retraining did not fail.")
    last = max(attempt.as_of for attempt in attempts)
    until = last + wait_after(failures, policy)
    times = "" if failures == 1 else f" {failures} times in a row"
    sentence = f"Retraining failed{times}, last as of {last:%Y-%m-%d}; next try from {until:%Y-%m-%d %H:%M} on."
    met = now >= until
    return Condition("backoff", failures, None, met, sentence, None if met else until)


def _month(attempts: Sequence[Attempt], now: datetime, policy: Retrain) -> Condition:
    limit = policy.max_per_month
    recent = sorted(attempt.as_of for attempt in attempts if attempt.as_of > now - MONTH)
    if len(recent) < limit:
        return Condition("month", len(recent), limit, True, f"{len(recent)} of {limit} within 30 days.")
    until = recent[-limit] + MONTH if limit else None
    sentence = f"The budget of {limit} retrainings within 30 days is spent."
    return Condition("month", len(recent), limit, False, sentence, until)


def _total(attempts: Sequence[Attempt], policy: Retrain) -> Condition:
    limit = policy.max_total
    if limit is None:
        return Condition("total", len(attempts), None, True, f"Retraining {len(attempts) + 1}.")
    if len(attempts) < limit:
        return Condition("total", len(attempts), limit, True, f"Retraining {len(attempts) + 1} of at most {limit}.")
    return Condition("total", len(attempts), limit, False, f"The budget of {limit} retrainings is spent.")


def _days(span: timedelta | None) -> float | None:
    return None if span is None else span / timedelta(days=1)


def _text(span: timedelta) -> str:
    return f"{span / timedelta(days=1):.3g} days"
