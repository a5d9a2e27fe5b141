"""Whether to train now: a pure rule over evidence, for the job on live traffic and for the backtest alike.

Any trigger asks for a training, and every guard must let it pass. A drift alarm is no trigger: inputs that moved
without a loss that rose are said, and nothing is started. The decision holds everything it rests on, so that it can be
made again from its own record (`replay`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from flywheel.monitor_spec import Retrain
from monitoring.retraining.conditions import UNSUCCESSFUL, Condition, Reason, guards, relevant_windows, triggers
from monitoring.retraining.evidence import Attempt, End, Evidence


@dataclass(frozen=True)
class RetrainDecision:
    """Start one or not, and why.

    Attributes:
        start: Whether one is to be started now.
        reason: The gravest trigger that asks for it, also where a guard does not let it; None: nothing asks for one.
        sentence: The whole for people.
        triggers: Reasons to train, met or not.
        guards: What must hold for one, met or not.
        next_at: The earliest time for the next one as things stand; None: not by time alone.
        next_sentence: What happens next.
        alert: What somebody should be told; None: nothing.
        evidence: What it rests on.
        policy: By which it was made.
    """

    start: bool
    reason: Reason | None
    sentence: str
    triggers: tuple[Condition, ...]
    guards: tuple[Condition, ...]
    next_at: datetime | None
    next_sentence: str
    alert: str | None
    evidence: Evidence
    policy: Retrain

    @property
    def is_news(self) -> bool:
        """Whether there is anything to record: something asks for a training, somebody is to be told, or drift."""
        return self.reason is not None or self.alert is not None or self.evidence.drift is not None

    def body(self) -> dict[str, Any]:
        """Return it as plain JSON, for an event; `replay` makes it again."""
        return {
            "as_of": self.evidence.now.isoformat(),
            "start": self.start,
            "reason": None if self.reason is None else self.reason.value,
            "sentence": self.sentence,
            "triggers": [one.body() for one in self.triggers],
            "guards": [one.body() for one in self.guards],
            "next_at": None if self.next_at is None else self.next_at.isoformat(),
            "next": self.next_sentence,
            "alert": self.alert,
            "evidence": self.evidence.body(),
            "policy": self.policy.model_dump(mode="json"),
        }


def decide(evidence: Evidence, policy: Retrain) -> RetrainDecision:
    """Decide whether a training starts now; of the windows the decision keeps those that count."""
    evidence = _brief(evidence, policy)
    asked, needed = triggers(evidence, policy), guards(evidence, policy)
    reason = next((Reason(one.name) for one in asked if one.met), None)
    start = reason is not None and all(one.met for one in needed)
    at, then = _next(evidence, policy, asked, needed)
    return RetrainDecision(
        start=start,
        reason=reason,
        sentence=_sentence(evidence, asked, needed, start=start),
        triggers=asked,
        guards=needed,
        next_at=at,
        next_sentence=then,
        alert=_alert(evidence, reason, needed),
        evidence=evidence,
        policy=policy,
    )


def replay(body: Mapping[str, Any]) -> RetrainDecision:
    """Decide again what a recorded decision's `body` says, from the evidence and the policy in it."""
    return decide(Evidence.from_body(body["evidence"]), Retrain.model_validate(body["policy"]))


def _brief(evidence: Evidence, policy: Retrain) -> Evidence:
    """Leave out windows that the harm rule does not look at: an event must not hold a year of them."""
    kept = (*relevant_windows(evidence, policy), *evidence.windows[-1:])
    return replace(evidence, windows=tuple(dict.fromkeys(kept)))


def _sentence(evidence: Evidence, asked: tuple[Condition, ...], needed: tuple[Condition, ...], *, start: bool) -> str:
    met = [one.sentence for one in asked if one.met]
    if not met:
        drift = f" {evidence.drift} Drift without harm starts nothing." if evidence.drift else ""
        return f"Nothing asks for a training: {asked[0].sentence}{drift}"
    if start:
        return " ".join([*met, needed[-1].sentence])
    return " ".join([*met, *(one.sentence for one in needed if not one.met)])


def _next(
    evidence: Evidence, policy: Retrain, asked: tuple[Condition, ...], needed: tuple[Condition, ...]
) -> tuple[datetime | None, str]:
    """Say what happens next, and when at the earliest."""
    if any(one.met for one in asked) and all(one.met for one in needed):
        return evidence.now, "`mlflow run` starts; its version then waits for gates and reviewers."
    closed = [one for one in needed if not one.met]
    if any(one.until is None for one in closed):
        return None, "None starts until " + " and ".join(_opened(one) for one in closed if one.until is None) + "."
    free = max([evidence.now, *(one.until for one in closed if one.until is not None)])
    if any(one.met for one in asked):
        return free, f"It is decided again with the next window, and may start from {free:%Y-%m-%d} on."
    if policy.max_age is not None and evidence.trained_at is not None:
        due = max(free, evidence.trained_at + policy.max_age)
        return due, f"By age one is due on {due:%Y-%m-%d}; harm may start one before."
    return None, "The next window is judged; harm may start one."


def _opened(guard: Condition) -> str:
    return {"running": "the running one has ended"}.get(guard.name, "somebody raises the budget")


def _alert(evidence: Evidence, reason: Reason | None, needed: tuple[Condition, ...]) -> str | None:
    """Say what people should know: a failure, and harm that no training answers."""
    attempts = evidence.attempts
    if attempts and attempts[-1].end in UNSUCCESSFUL:
        backoff = next(one for one in needed if one.name == "backoff")
        return f"The retraining as of {attempts[-1].as_of:%Y-%m-%d} {_ended(attempts[-1])} {backoff.sentence}"
    budget = [one for one in needed if one.name in ("month", "total") and not one.met]
    if reason == Reason.HARM and budget:
        return f"There is harm, and no training answers it: {budget[0].sentence}"
    return None


def _ended(attempt: Attempt) -> str:
    if attempt.end == End.REFUSED:
        return f"was refused: {attempt.reason}"
    return "died without a word." if attempt.end == End.DIED else "failed."
