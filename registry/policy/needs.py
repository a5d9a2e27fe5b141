"""What a version needs on its way to Production, judged need by need: pure functions of facts and policy."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from flywheel.events import EventKind
from flywheel.policy import Policy, frozen
from flywheel.policy_parts import in_order
from registry.gates.evidence import Evidence, Outcome
from registry.policy.facts import Facts
from registry.policy.gate_limits import tightened_since
from registry.policy.reviews import BLOCKING, Review, decisions


@dataclass(frozen=True)
class Need:
    """One thing that a transition to Production needs.

    Args:
        name: `author`, `approvals`, `rejections`, `contributors`, `freeze`, `bytes`, `rollout`, or `gate:<name>`.
        met: Whether it is there.
        sentence: What a reviewer reads: what is there, or what is missing and what to do.
    """

    name: str
    met: bool
    sentence: str


def met(name: str, sentence: str) -> Need:
    """Make a need that is there; its sentence gets a capital letter."""
    return Need(name, True, sentence[:1].upper() + sentence[1:])


def missing(name: str, sentence: str) -> Need:
    """Make a need that is not there; its sentence gets a capital letter."""
    return Need(name, False, sentence[:1].upper() + sentence[1:])


def excluded(facts: Facts, policy: Policy) -> frozenset[str]:
    """Return who may not approve the version, since they made it; nobody without four eyes."""
    if not policy.production.four_eyes:
        return frozenset()
    return facts.contributors.people | ({facts.author} if facts.author else set())


def eligible(facts: Facts, policy: Policy) -> set[str]:
    """Return the reviewers whose approval counts."""
    return {user for user in policy.reviewers() - excluded(facts, policy) if facts.logins.fault(user) is None}


def approvers(facts: Facts, policy: Policy) -> set[str]:
    """Return whose approval counts today: of these bytes, not too old, by somebody who still may."""
    return {name for name, review in _approvals(facts) if _void(review, facts, policy) is None}


def needs(actor: str, facts: Facts, policy: Policy) -> tuple[Need, ...]:
    """Return all that Production needs of a version, as `actor` sees it, the unmet ones first.

    Args:
        actor: Who moves it, or looks at it; a reviewer's own move counts as their approval.
        facts: What is known of the version.
        policy: For its model.
    """
    found = [
        _author(facts),
        *_bytes(facts),
        _rollout(facts),
        _contributors(facts, policy),
        _rejections(facts, policy),
        approvals_need(actor, facts, policy),
        *(gate_need(gate, facts, policy) for gate in required_gates(facts, policy)),
        _freeze(facts, policy),
    ]
    return tuple(sorted(found, key=lambda need: need.met))


def required_gates(facts: Facts, policy: Policy) -> tuple[str, ...]:
    """Return the gates that Production needs: the policy's, and those that the use case adds."""
    return in_order({*policy.gates.required, *facts.gates})


def _author(facts: Facts) -> Need:
    if facts.author is None:
        return missing("author", f"{facts.name} has no recorded author. Register the model again to get one that has.")
    return met("author", f"Made by {facts.author}.")


def _bytes(facts: Facts) -> Iterator[Need]:
    if facts.digest is None:
        yield missing("bytes", f"{facts.name} cannot be approved: {facts.fault.rstrip('.')}.")
    else:
        yield met("bytes", f"Its bytes are {facts.digest}.")


def _rollout(facts: Facts) -> Need:
    if facts.failure is not None:
        reason = facts.failure.rstrip(".")
        return missing("rollout", f"{facts.name} was rolled back: {reason}. Train a new version.")
    return met("rollout", "No rollout of it has failed.")


def _contributors(facts: Facts, policy: Policy) -> Need:
    made = facts.contributors
    problem = made.unknown
    if not problem and made.strangers:
        problem = f"nobody in the policy commits as {', '.join(made.strangers)}"
    names = ", ".join(sorted(made.people)) or "nobody beside its author"
    if problem and policy.production.four_eyes and policy.production.unknown_contributors == "refuse":
        remedy = "Train it again from a commit whose history is known, and name addresses in the policy's commits_as."
        return missing("contributors", f"who contributed to it is not known: {problem}. {remedy}")
    known = f" (perhaps not all: {problem})" if problem else ""
    return met("contributors", f"Contributed since the last approved commit: {names}{known}.")


def _rejections(facts: Facts, policy: Policy) -> Need:
    still = policy.reviewers()
    # Who acted in an objector's name takes no objection back.
    own = [one for one in facts.reviews if one.kind in BLOCKING or not facts.logins.borrower(one.reviewer, one.seq)]
    blocking = [review for name, review in decisions(own).items() if review.kind in BLOCKING and name in still]
    if not blocking:
        return met("rejections", "No reviewer objects.")
    told = " ".join(_objection(review) for review in blocking)
    return missing("rejections", f"{told} Whoever objected withdraws that, or approves.")


def _objection(review: Review) -> str:
    what = "Rejected" if review.kind == EventKind.REVIEW_REJECTED else "Changes requested"
    return f"{what} by {review.reviewer}: {_quoted(review.comment.rstrip('.'))}."


def approvals_need(actor: str, facts: Facts, policy: Policy) -> Need:
    """Judge the approvals, the actor's own move included where it would count."""
    have, can, wanted = approvers(facts, policy), eligible(facts, policy), policy.production.approvals
    mover = {actor} if actor in can else set(sorted(can - have)[:1])
    void = " ".join(
        f"The approval of {name} does not count: {reason}."
        for name, review in _approvals(facts)
        if (reason := _void(review, facts, policy)) is not None
    )
    given = f" by {', '.join(sorted(have))}" if have else ""
    tally = f"{len(have)} of {wanted} approval{'s' if wanted > 1 else ''}{given}"
    if len(have | mover) >= wanted:
        last = "" if have >= mover else " The move to Production by a reviewer is one more."
        return met("approvals", f"It has {tally}.{last} {void}".strip())
    lacking = wanted - len(have | mover)
    others = ", ".join(sorted(can - have - mover)) or "nobody in the policy"
    counted = f", the one of {actor} who moves it included" if actor in can and actor not in have else ""
    sentence = f"{facts.name} has {tally}, and needs {lacking} more{counted}: {others} can approve. {void}"
    return missing("approvals", sentence.strip())


def _approvals(facts: Facts) -> list[tuple[str, Review]]:
    found = decisions(facts.reviews).items()
    return [(name, review) for name, review in found if review.kind == EventKind.REVIEW_APPROVED]


def _void(review: Review, facts: Facts, policy: Policy) -> str | None:
    """Return why an approval does not count; None when it does."""
    if review.reviewer not in policy.reviewers():
        return f"{review.reviewer} is no reviewer any more"
    if (fault := facts.logins.fault(review.reviewer, review.seq)) is not None:
        return fault
    if review.reviewer in excluded(facts, policy):
        return f"{review.reviewer} contributed to the version (four eyes)"
    if review.digest != facts.digest:
        return "it is about other bytes than the version has now"
    if facts.at - review.at >= policy.production.approvals_expire:
        return f"it is older than {_length(policy.production.approvals_expire)}"
    return None


def gate_need(gate: str, facts: Facts, policy: Policy) -> Need:
    """Judge one required gate's evidence."""
    evidence, name = facts.evidence.get(gate), f"gate:{gate}"
    if evidence is None:
        return missing(name, f"gate {gate} has not been run on it.")
    fault = _unfit(evidence, facts, policy)
    if fault is not None:
        return missing(name, f"gate {gate} {fault}")
    return met(name, f"Gate {gate} passed: {evidence.measurement.sentence}")


def _unfit(evidence: Evidence, facts: Facts, policy: Policy) -> str | None:
    found = evidence.measurement
    if evidence.digest != facts.digest:
        return f"was run on other bytes than the version has now; {_again(evidence.gate, facts)}"
    if found.outcome == Outcome.FAIL:
        return f"failed: {found.sentence}"
    if found.outcome == Outcome.COULD_NOT_RUN:
        return f"could not run: {found.sentence}"
    stale = _stale(evidence, facts, policy)
    return f"is stale: {stale}; {_again(evidence.gate, facts)}" if stale else None


def _again(gate: str, facts: Facts) -> str:
    return f"run it again: flywheel gates run {facts.model} {facts.version} --gate {gate}."


def _stale(evidence: Evidence, facts: Facts, policy: Policy) -> str | None:
    if facts.at - evidence.at >= policy.gates.expire:
        return f"it was run more than {_length(policy.gates.expire)} ago"
    if tightened_since(evidence.gate, evidence.limits, policy.gates.limits):
        return "its limits were tightened since"
    # Without a champion, or as the champion itself, a version passes that gate whoever it was compared with before.
    if evidence.gate == "champion" and facts.champion not in (None, evidence.champion):
        return "the champion is another one now"
    return None


def _freeze(facts: Facts, policy: Policy) -> Need:
    freeze = frozen(policy, facts.at)
    if freeze is None:
        return met("freeze", "No freeze holds.")
    return missing("freeze", f"nothing goes to Production {freeze.told()}: {freeze.reason.rstrip('.')}.")


def _quoted(text: str) -> str:
    line = " ".join(text.split())
    return f"“{line[:200]}”" if line else "no reason given"


def _length(length: timedelta) -> str:
    days, seconds = divmod(round(length.total_seconds()), 86400)
    return f"{days} day{'s' if days != 1 else ''}" if not seconds else f"{seconds / 3600 + days * 24:g} hours"
