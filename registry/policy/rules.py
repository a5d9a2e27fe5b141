"""The gate's rules: pure decisions over who asks for what. `registry.store.gate` asks them under the chain's lock."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from flywheel.identities import CONTROLLER
from flywheel.policy import Policy

NONE = "None"
STAGING = "Staging"
PRODUCTION = "Production"
ARCHIVED = "Archived"
PROTECTED_ALIASES = frozenset({"champion", "challenger"})
RESERVED_PREFIX = "flywheel."


@dataclass(frozen=True)
class Allowed:
    """The request passes."""


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


def judge_transition(actor: str, transition: Transition, policy: Policy) -> Verdict:
    """Decide whether `actor` may move a version to another stage."""
    if transition.target == PRODUCTION:
        return _judge_production(actor, transition, policy)
    if transition.source == PRODUCTION and actor != CONTROLLER and actor not in policy.reviewers():
        return _refuse(
            transition,
            f"only {CONTROLLER} or a reviewer may take a version out of Production, and '{actor}' is neither.",
            _who_can(policy.reviewers()),
        )
    return Allowed()


def _judge_production(actor: str, transition: Transition, policy: Policy) -> Verdict:
    name = f"version {transition.version} of '{transition.model}'"
    reviewers = policy.reviewers()
    others = reviewers - {transition.author} if policy.production.four_eyes else reviewers
    if transition.author is None:
        return _refuse(transition, f"{name} has no recorded author.", "Register the model again to get one that has.")
    if policy.production.four_eyes and actor == transition.author:
        reason = f"{name} was made by {actor}, and its author may not approve it (four eyes)."
        return _refuse(transition, reason, _who_can(others))
    if actor not in reviewers:
        return _refuse(transition, f"'{actor}' is no reviewer in the server's policy.", _who_can(others))
    if transition.failure is not None:
        return _refuse(transition, f"{name} was rolled back: {transition.failure}", "Train a new version.")
    if transition.archive_others:
        reason = "archiving the versions in Production is the controller's work, once the new one has proven itself."
        return _refuse(transition, reason, "Untick 'transition existing versions to Archived' and try again.")
    return Allowed()


@dataclass(frozen=True)
class Measured:
    """What was found at a version's location before the lock: the digest of its folder, or why there is none."""

    location: str
    digest: str | None = None
    fault: str | None = None


def judge_bytes(transition: Transition, measured: Measured | None, location: str) -> Verdict:
    """Decide whether an approval can bind to the bytes that were measured; `location` is where the version is now."""
    if transition.target != PRODUCTION:
        return Allowed()
    if measured is None:
        return _refuse(transition, "the policy changed while it was judged.", "Try again.")
    name = f"version {transition.version} of '{transition.model}'"
    if measured.digest is None:
        return Refused(f"Transition to {PRODUCTION} refused: {name} cannot be approved: {measured.fault}")
    if measured.location != location:
        return _refuse(transition, f"the source of {name} changed while its digest was taken.", "Try again.")
    return Allowed()


def judge_alias(actor: str, alias: str) -> Verdict:
    """Decide whether `actor` may move or remove an alias, however it is spelled."""
    if _plain(alias) in PROTECTED_ALIASES and actor != CONTROLLER:
        return Refused(
            f"Alias '{alias}' refused: it says where traffic goes, and only {CONTROLLER} moves it. "
            "Move the version to Production instead; the rollout then moves the alias."
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
        return Refused(f"{what} refused: it is in Production. Archive it first; a reviewer may.")
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


def _plain(text: str) -> str:
    # Full-width and other letters that look the same become the ones they look like.
    return unicodedata.normalize("NFKC", text).strip().lower()


def _refuse(transition: Transition, reason: str, remedy: str) -> Refused:
    return Refused(f"Transition to {transition.target} refused: {reason} {remedy}")


def _who_can(reviewers: set[str]) -> str:
    if not reviewers:
        return "The policy names no reviewer who can: add one to policy.yaml."
    names = ", ".join(sorted(reviewers))
    return f"A reviewer ({names}) can make this transition."
