"""The gate's rules: pure decisions over who asks for what. `registry.store.gate` asks them under the chain's lock."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

from flywheel.identities import ADMIN, AGENTS, CONTROLLER, SERVICES
from flywheel.policy import Policy, Role
from registry.policy.facts import Facts
from registry.policy.needs import Need, eligible, excluded, needs, required_gates
from registry.policy.origin import Origin

NONE = "None"
STAGING = "Staging"
PRODUCTION = "Production"
ARCHIVED = "Archived"
PROTECTED_ALIASES = frozenset({"champion", "challenger"})
RESERVED_PREFIX = "flywheel."
REVIEW_TAG = "review"
ASKING_SERVICES = frozenset(SERVICES) - {AGENTS}  # services that may move versions where no traffic is


@dataclass(frozen=True)
class Allowed:
    """The request passes; `grounds` says on what, where that is not a person's decision alone."""

    grounds: str = ""


@dataclass(frozen=True)
class Refused:
    """The request does not pass; `reason` is a sentence for the caller that says what is missing."""

    reason: str


Verdict = Allowed | Refused


@dataclass(frozen=True)
class Transition:
    """Somebody asks to move a version to a stage (canonical names).

    Args:
        model: Its model.
        version: Its number.
        author: Who registered it, if that is known.
        source: Where it is.
        target: Where it shall go.
        archive_others: Whether the versions that are there shall be archived.
        failure: Why a rollout of it was rolled back, if one was: it is not tried again.
    """

    model: str
    version: str
    author: str | None
    source: str
    target: str
    archive_others: bool = False
    failure: str | None = None


def judge_transition(actor: str, transition: Transition, policy: Policy, facts: Facts | None = None) -> Verdict:
    """Decide whether `actor` may move a version to another stage.

    Args:
        actor: Who asks.
        transition: For what.
        policy: For the version's model.
        facts: What is known of the version; only Production looks at them.
    """
    if transition.target == PRODUCTION:
        known = facts or Facts(
            transition.model, transition.version, transition.author, digest="", failure=transition.failure
        )
        return _judge_production(actor, transition, known, policy)
    if transition.source == PRODUCTION:
        return _judge_leaving(actor, transition, policy)
    return _judge_asking(actor, transition, policy)


def _judge_leaving(actor: str, transition: Transition, policy: Policy) -> Verdict:
    operators = policy.allowed(*policy.may.operate)
    if actor == CONTROLLER or actor in operators:
        return Allowed()
    names = f" ({', '.join(sorted(operators))})" if operators else ""
    return _refuse(
        transition,
        f"only {CONTROLLER} or who may operate{names} takes a version out of Production, and '{actor}' is neither.",
        "Ask one of them.",
    )


def _judge_asking(actor: str, transition: Transition, policy: Policy) -> Verdict:
    may = policy.allowed(*policy.may.ask, *policy.may.review, *policy.may.operate)
    if actor in may or actor in ASKING_SERVICES:
        return Allowed()
    return _refuse(
        transition,
        f"'{actor}' may not move versions under the server's policy.",
        f"These may: {', '.join(sorted(may)) or 'nobody yet; add people to the policy'}.",
    )


def _judge_production(actor: str, transition: Transition, facts: Facts, policy: Policy) -> Verdict:
    if actor in SERVICES and policy.production.robots == "gates":
        return _judge_robot(transition, facts, policy)
    reason = why_not_review(actor, facts, policy)
    unmet = [need for need in needs(actor, facts, policy) if not need.met]
    problems = [*([reason] if reason else []), *_told(unmet, facts)]
    if transition.archive_others:
        problems.append(
            "archiving the versions in Production is the controller's work, once the new one has proven itself. "
            "Untick 'transition existing versions to Archived' and try again."
        )
    return _refuse_all(transition, problems) if problems else Allowed()


def _judge_robot(transition: Transition, facts: Facts, policy: Policy) -> Verdict:
    """Judge a service's own move: a version that a service made of newer data alone passes on green gates."""
    unmet = [need for need in needs("", facts, policy) if not need.met and need.name != "approvals"]
    problems = []
    if facts.author not in SERVICES:
        problems.append(f"{facts.name} was made by {facts.author}, and only a service's versions pass on gates alone.")
    if facts.patch:
        problems.append(f"{facts.name} is no patch of the champion: {facts.patch}. A reviewer must decide.")
    gates = required_gates(facts, policy)
    if not policy.gates.required:
        problems.append("the policy requires no gate, and without one nobody would have looked. Name gates.required.")
    if transition.archive_others:
        problems.append("archiving the versions in Production is the controller's work. Leave it out.")
    problems += _told(unmet, facts)
    if problems:
        return _refuse_all(transition, problems)
    return Allowed(f"on green gates alone ({', '.join(gates)}), as production.robots allows")


def why_not_review(user: str, facts: Facts, policy: Policy) -> str | None:
    """Return why a user may neither approve the version nor move it to Production, in sentences; None when they may."""
    can = _who_can(eligible(facts, policy))
    if user in excluded(facts, policy):
        if user == facts.author:
            return f"{facts.name} was made by {user}, and its author may not approve it (four eyes). {can}"
        return f"{user} contributed to {facts.name}, and who contributed may not approve it (four eyes). {can}"
    if user not in policy.reviewers():
        return f"'{user}' is no reviewer in the server's policy. {can}"
    if (fault := facts.logins.fault(user)) is not None:
        return f"{fault}. {can}"
    return None


def judge_review(actor: str, decision: str, facts: Facts, policy: Policy) -> Verdict:
    """Decide whether `actor` may say something of a version."""
    what = f"Review of {facts.name} refused: "
    if decision == "comment":
        may = policy.allowed(*policy.may.ask, *policy.may.review)
        return Allowed() if actor in may else Refused(f"{what}'{actor}' may not comment under the server's policy.")
    if decision == "approve":
        reason = why_not_review(actor, facts, policy)
        if reason is None and facts.digest is None:
            reason = f"it cannot be approved: {facts.fault}"
        return Refused(what + reason) if reason else Allowed()
    if decision != "withdraw" and actor not in policy.reviewers():
        return Refused(f"{what}'{actor}' is no reviewer in the server's policy. {_who_can(policy.reviewers())}")
    return Allowed()


def judge_override(actor: str, transition: Transition, facts: Facts, policy: Policy) -> Verdict:
    """Decide whether `actor` may break the glass: Production without approvals, gates and against a freeze.

    What stays: bytes that can be pinned, no rollout that failed, and a person who did not make the version.
    """
    may = policy.allowed(*policy.may.override)
    made_by = facts.contributors.people | {facts.author}
    problems = []
    if actor not in may:
        problems.append(f"'{actor}' may not override the policy. These may: {', '.join(sorted(may)) or 'nobody'}.")
    elif actor in made_by:
        others = ", ".join(sorted(may - made_by)) or "nobody"
        problems.append(f"{actor} contributed to {facts.name}, which no override forgives. Others who may: {others}.")
    elif (fault := facts.logins.fault(actor)) is not None:
        problems.append(f"{fault}.")
    if transition.source == PRODUCTION:
        problems.append(f"{facts.name} is in Production already. There is nothing to override.")
    kept = {"author", "bytes", "rollout"}
    unmet = [need for need in needs(actor, facts, policy) if not need.met and need.name in kept]
    problems += _told(unmet, facts)
    return _refuse_all(transition, problems, "Override") if problems else Allowed("by override")


def judge_write(actor: str, what: str, policy: Policy) -> Verdict:
    """Decide whether `actor` may change anything at all; `what` begins the refusal, such as "Tag 'team'"."""
    role = policy.role(actor)
    if actor in (ADMIN, *SERVICES) or role not in (None, Role.VIEWER):
        return Allowed()
    who = "a viewer" if role is Role.VIEWER else "not named"
    return Refused(f"{what} refused: '{actor}' is {who} in the server's policy, and changes nothing. Ask for a role.")


@dataclass(frozen=True)
class Measured:
    """What was found at a version's location before the lock: digest and origin of its folder, or why there is none.

    `listing` is what `registry.doors.fingerprint` said before the digest was taken; None where it can say nothing.
    """

    location: str
    digest: str | None = None
    fault: str | None = None
    listing: str | None = None
    origin: Origin = field(default_factory=Origin)


def judge_bytes(
    transition: Transition, measured: Measured | None, location: str, verdict: Allowed = Allowed()
) -> Verdict:
    """Decide whether an approval can bind to the bytes that were measured; `location` is where the version is now."""
    if transition.target != PRODUCTION:
        return verdict
    if measured is None:
        return _refuse(transition, "the policy changed while it was judged.", "Try again.")
    name = f"version {transition.version} of '{transition.model}'"
    if measured.digest is None:
        return Refused(f"Transition to {PRODUCTION} refused: {name} cannot be approved: {measured.fault}")
    if measured.location != location:
        return _refuse(transition, f"the source of {name} changed while its digest was taken.", "Try again.")
    return verdict


def judge_alias(actor: str, alias: str) -> Verdict:
    """Decide whether `actor` may move or remove an alias, however it is spelled."""
    if _plain(alias) in PROTECTED_ALIASES and actor != CONTROLLER:
        return Refused(
            f"Alias '{alias}' refused: it says where traffic goes, and only {CONTROLLER} moves it. "
            "Move the version to Production instead; the rollout then moves the alias."
        )
    return Allowed()


def judge_traffic(alias: str, version: str, *, approved: bool) -> Verdict:
    """Decide whether an alias may point at a version; `approved` says whether it ever reached Production."""
    if _plain(alias) in PROTECTED_ALIASES and not approved:
        return Refused(
            f"Alias '{alias}' refused: version {version} never reached {PRODUCTION}, and traffic goes to no other. "
            f"Have it approved and moved to {PRODUCTION} first."
        )
    return Allowed()


def judge_removal(what: str, stages: Iterable[str], aliases: Iterable[str]) -> Verdict:
    """Decide whether a version or a model may be deleted or renamed, given all the stages and aliases it has.

    Args:
        what: The request as a sentence's beginning, such as "Deleting version 3 of 'churn'".
        stages: Stages of the versions concerned.
        aliases: Aliases that point at them.
    """
    if PRODUCTION in stages:
        return Refused(f"{what} refused: it is in Production. Archive it first; who may operate can.")
    protected = sorted(alias for alias in aliases if _plain(alias) in PROTECTED_ALIASES)
    if protected:
        return Refused(f"{what} refused: alias '{protected[0]}' points at it. Wait until the controller has moved it.")
    return Allowed()


def judge_tag(key: str) -> Verdict:
    """Decide whether people may set or delete a tag."""
    if is_reserved(key):
        return Refused(f"Tag '{key}' refused: tags that start with '{RESERVED_PREFIX}' are set by the server alone.")
    return Allowed()


def is_reserved(key: str) -> bool:
    """Return whether a tag belongs to the server, in any spelling that people would read as the same."""
    return _plain(key).startswith(RESERVED_PREFIX)


def is_review(key: str) -> bool:
    """Return whether a version's tag gives a review: MLflow's own page has no other place for one."""
    return _plain(key) == REVIEW_TAG


def _plain(text: str) -> str:
    # Full-width and other letters that look the same become the ones they look like.
    return unicodedata.normalize("NFKC", text).strip().lower()


def _told(unmet: Iterable[Need], facts: Facts) -> list[str]:
    """Return what is missing in sentences; gates that were never run in one."""
    waiting = [need.name.removeprefix("gate:") for need in unmet if _never_run(need, facts)]
    told = [need.sentence for need in unmet if not _never_run(need, facts)]
    if waiting:
        gates = f"gate {waiting[0]} has" if len(waiting) == 1 else f"gates {', '.join(waiting)} have"
        told.append(f"{gates} not been run on it. Run: flywheel gates run {facts.model} {facts.version}.")
    return told


def _never_run(need: Need, facts: Facts) -> bool:
    return need.name.startswith("gate:") and need.name.removeprefix("gate:") not in facts.evidence


def _refuse_all(transition: Transition, problems: list[str], what: str = "Transition") -> Refused:
    first, *more = problems
    # A name at the start of a sentence stays as it is spelled; the others begin as sentences do.
    told = [first if first.startswith("'") else first[:1].lower() + first[1:]]
    told += [problem[:1].upper() + problem[1:] for problem in more]
    return Refused(f"{what} to {transition.target} refused: {' '.join(told)}")


def _refuse(transition: Transition, reason: str, remedy: str) -> Refused:
    return Refused(f"Transition to {transition.target} refused: {reason} {remedy}")


def _who_can(reviewers: set[str]) -> str:
    if not reviewers:
        return "The policy names no reviewer who can: propose a policy that does (flywheel policy propose)."
    names = ", ".join(sorted(reviewers))
    return f"A reviewer ({names}) can make this transition."
