"""The judgement of Production against a simple oracle: a machine takes random steps, and both must agree at each."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from flywheel.events import EventKind
from flywheel.freeze import Freeze
from flywheel.identities import ADMIN, TRAINING
from flywheel.limits import PolicyLimits
from flywheel.policy import GatePolicy, Person, Policy, Production, Role
from registry.gates.evidence import Evidence, Measurement, Outcome
from registry.policy.facts import Contributors, Facts
from registry.policy.reviews import Review
from registry.policy.rules import NONE, PRODUCTION, Allowed, Refused, Transition, judge_transition
from registry.policy.standing import standing

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
USERS = ("ada", "grace", "alan", "mary")
SENIOR = {Role.REVIEWER}
WEEK = timedelta(days=7)
DECISIONS = {
    "approve": EventKind.REVIEW_APPROVED,
    "reject": EventKind.REVIEW_REJECTED,
    "request_changes": EventKind.REVIEW_CHANGES_REQUESTED,
    "withdraw": EventKind.REVIEW_WITHDRAWN,
    "comment": EventKind.REVIEW_COMMENTED,
}
users, roles = st.sampled_from(USERS), st.sampled_from([Role.VIEWER, Role.DATA_SCIENTIST, Role.REVIEWER])


@dataclass
class Truth:
    """What the oracle keeps: plain sets and times, told in other words than the facts."""

    roles: dict[str, Role] = field(default_factory=lambda: dict.fromkeys(USERS, Role.REVIEWER))
    makers: set[str] = field(default_factory=lambda: {"ada"})
    approved: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    objecting: set[str] = field(default_factory=set)
    passed: tuple[str, datetime, float] | None = None
    failed: bool = False
    frozen: bool = False
    four_eyes: bool = True
    wanted: int = 1
    size_limit: float = 50.0
    bytes: str = "sha256:0"
    now: datetime = NOON

    def allows(self, actor: str) -> bool:
        """Say whether the actor may move the version to Production now."""
        may = {user for user, role in self.roles.items() if role in SENIOR}
        may -= self.makers if self.four_eyes else set()
        fresh = {
            user
            for user, (digest, at) in self.approved.items()
            if digest == self.bytes and self.now - at < WEEK and user in may
        }
        return (
            actor in may
            and len(fresh | {actor}) >= self.wanted
            and not {user for user in self.objecting if self.roles[user] in SENIOR}
            and self._gate_is_green()
            and not self.failed
            and not self.frozen
        )

    def _gate_is_green(self) -> bool:
        if self.passed is None:
            return False
        digest, at, limit = self.passed
        return digest == self.bytes and self.now - at < WEEK and limit <= self.size_limit


class Judgement(RuleBasedStateMachine):
    """Facts and policy beside the oracle's truth; each rule changes both."""

    def __init__(self) -> None:
        super().__init__()
        self.truth = Truth()
        self.facts = Facts("churn", "3", "ada", digest="sha256:0", contributors=Contributors(), at=NOON)
        self.seq = 0

    @property
    def policy(self) -> Policy:
        truth = self.truth
        span = {"start": NOON - timedelta(days=999), "end": NOON + timedelta(days=9999)}
        freeze = (Freeze.model_validate({"reason": "Feast.", **span}),) if truth.frozen else ()
        return Policy(
            people={user: Person(role=role) for user, role in truth.roles.items()},
            production=Production(
                four_eyes=truth.four_eyes, approvals=truth.wanted, approvals_expire=WEEK, freeze=freeze
            ),
            gates=GatePolicy(required=("size",), limits=PolicyLimits(size_mb=truth.size_limit), expire=WEEK),
        )

    @rule(user=users, role=roles)
    def change_role(self, user: str, role: Role) -> None:
        self.truth.roles[user] = role

    @rule(four_eyes=st.booleans(), wanted=st.integers(1, 3), frozen=st.booleans(), limit=st.sampled_from([20.0, 50.0]))
    def change_policy(self, four_eyes: bool, wanted: int, frozen: bool, limit: float) -> None:
        truth = self.truth
        truth.four_eyes, truth.wanted, truth.frozen, truth.size_limit = four_eyes, wanted, frozen, limit

    @rule(user=users, decision=st.sampled_from(sorted(DECISIONS)))
    def say(self, user: str, decision: str) -> None:
        self.seq += 1
        truth = self.truth
        review = Review(DECISIONS[decision], user, "x", truth.bytes, truth.now, self.seq)
        self.facts = replace(self.facts, reviews=(*self.facts.reviews, review))
        if decision == "comment":
            return
        truth.approved.pop(user, None)
        truth.objecting.discard(user)
        if decision == "approve":
            truth.approved[user] = (truth.bytes, truth.now)
        elif decision != "withdraw":
            truth.objecting.add(user)

    @rule(outcome=st.sampled_from(Outcome), limit=st.sampled_from([20.0, 50.0]))
    def measure(self, outcome: Outcome, limit: float) -> None:
        truth = self.truth
        found = Measurement(outcome, "It weighs 3 MB.")
        evidence = Evidence("size", found, truth.bytes, "x", {"size_mb": limit}, None, truth.now, 1)
        self.facts = replace(self.facts, evidence={"size": evidence})
        truth.passed = (truth.bytes, truth.now, limit) if outcome == Outcome.PASS else None

    @rule(user=users)
    def contribute(self, user: str) -> None:
        self.truth.makers.add(user)
        self.facts = replace(self.facts, contributors=Contributors(frozenset(self.truth.makers - {"ada"})))

    @rule()
    def change_bytes(self) -> None:
        self.truth.bytes += "1"
        self.facts = replace(self.facts, digest=self.truth.bytes)

    @rule(days=st.integers(1, 6))
    def wait(self, days: int) -> None:
        self.truth.now += timedelta(days=days)
        self.facts = replace(self.facts, at=self.truth.now)

    @precondition(lambda self: self.seq > 3)
    @rule()
    def roll_back(self) -> None:
        self.truth.failed = True
        self.facts = replace(self.facts, failure="It failed.")

    @invariant()
    def the_judgement_is_the_oracles(self) -> None:
        asked = Transition("churn", "3", "ada", NONE, PRODUCTION)
        for actor in (*USERS, ADMIN, TRAINING, "stranger"):
            verdict = judge_transition(actor, asked, self.policy, self.facts)
            allowed = actor in USERS and self.truth.allows(actor)
            assert isinstance(verdict, Allowed) == allowed, (actor, verdict)
            found = standing(actor, self.facts, self.policy)
            assert (found.ready and found.may_review) == allowed
            if isinstance(verdict, Refused):
                assert verdict.reason.startswith("Transition to Production refused: ")
                assert all(need.sentence[:1].isupper() or need.sentence[:1] == "'" for need in found.needs)


TestJudgement = Judgement.TestCase
TestJudgement.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
