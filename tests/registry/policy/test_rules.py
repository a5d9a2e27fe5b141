from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from flywheel.identities import ADMIN, AGENTS, CONTROLLER, SERVICES
from flywheel.policy import GatePolicy, Policy, Production
from registry.policy.rules import (
    ARCHIVED,
    NONE,
    PRODUCTION,
    PROTECTED_ALIASES,
    STAGING,
    Allowed,
    Measured,
    Refused,
    Transition,
    is_reserved,
    judge_alias,
    judge_bytes,
    judge_removal,
    judge_tag,
    judge_transition,
)

NO_GATES = GatePolicy(required=())
POLICY = Policy(gates=NO_GATES)
STAGES = [NONE, STAGING, PRODUCTION, ARCHIVED]
users = st.sampled_from(["ada", "grace", "linus", "mary", ADMIN, *SERVICES])
people = st.dictionaries(
    st.sampled_from(["ada", "grace", "linus", "mary"]), st.sampled_from(["data_scientist", "reviewer"])
)
policies = st.builds(
    Policy, people=people, production=st.builds(Production, four_eyes=st.booleans()), gates=st.just(NO_GATES)
)
transitions = st.builds(
    Transition,
    model=st.just("churn"),
    version=st.just("3"),
    author=st.one_of(st.none(), users),
    source=st.sampled_from(STAGES),
    target=st.sampled_from(STAGES),
    archive_others=st.booleans(),
)


def ask(actor: str, **changes: object) -> Allowed | Refused:
    asked = {"model": "churn", "version": "3", "author": "ada", "source": NONE, "target": PRODUCTION} | changes
    return judge_transition(actor, Transition(**asked), POLICY)  # type: ignore[arg-type]


@given(actor=users, transition=transitions, policy=policies)
def test_what_reaches_production_was_moved_by_a_reviewer_who_is_not_its_known_author(
    actor: str, transition: Transition, policy: Policy
) -> None:
    if isinstance(judge_transition(actor, transition, policy), Allowed) and transition.target == PRODUCTION:
        assert actor in policy.reviewers()
        assert transition.author is not None
        assert not transition.archive_others
        assert actor != transition.author or not policy.production.four_eyes


@given(actor=users, transition=transitions, policy=policies)
def test_what_leaves_production_was_taken_out_by_the_controller_or_who_may_operate(
    actor: str, transition: Transition, policy: Policy
) -> None:
    leaves = transition.source == PRODUCTION and transition.target != PRODUCTION
    allowed = isinstance(judge_transition(actor, transition, policy), Allowed)
    if leaves:
        assert allowed == (actor == CONTROLLER or actor in policy.allowed(*policy.may.operate))


@given(actor=users, transition=transitions, policy=policies)
def test_stages_without_traffic_are_free_for_people_with_a_role_and_for_services_that_train_or_operate(
    actor: str, transition: Transition, policy: Policy
) -> None:
    if PRODUCTION not in {transition.source, transition.target}:
        allowed = isinstance(judge_transition(actor, transition, policy), Allowed)
        assert allowed == (actor in policy.people or actor in set(SERVICES) - {AGENTS})


@given(actor=users, transition=transitions, policy=policies)
def test_every_refusal_is_a_sentence_with_a_remedy(actor: str, transition: Transition, policy: Policy) -> None:
    verdict = judge_transition(actor, transition, policy)
    if isinstance(verdict, Refused):
        assert verdict.reason.startswith(f"Transition to {transition.target} refused: ")
        assert verdict.reason.count(". ") >= 1
        assert verdict.reason.endswith(".")


def test_the_author_is_told_who_can() -> None:
    assert ask("ada") == Refused(
        "Transition to Production refused: version 3 of 'churn' was made by ada, and its author may not approve it "
        "(four eyes). A reviewer (grace) can make this transition."
    )


def test_an_administrator_is_no_reviewer() -> None:
    verdict = ask(ADMIN)
    assert isinstance(verdict, Refused)
    assert "'admin' is no reviewer" in verdict.reason


def test_a_reviewer_who_made_the_version_needs_another_one() -> None:
    verdict = ask("grace", author="grace")
    assert isinstance(verdict, Refused)
    assert "names no reviewer who can" in verdict.reason


def test_ticking_the_archiving_of_others_is_refused_with_what_to_untick() -> None:
    verdict = ask("grace", archive_others=True)
    assert isinstance(verdict, Refused)
    assert "Untick" in verdict.reason


@given(actor=users, alias=st.sampled_from(sorted(PROTECTED_ALIASES)), upper=st.lists(st.booleans(), min_size=10))
def test_only_the_controller_moves_traffic_aliases_however_they_are_spelled(
    actor: str, alias: str, upper: list[bool]
) -> None:
    spelled = "".join(letter.upper() if up else letter for letter, up in zip(alias, upper, strict=False))
    assert isinstance(judge_alias(actor, spelled), Allowed) == (actor == CONTROLLER)
    assert judge_alias(actor, "my-favourite") == Allowed()


def test_what_carries_traffic_is_neither_deleted_nor_renamed() -> None:
    assert isinstance(judge_removal("Deleting 'churn'", [ARCHIVED, PRODUCTION], []), Refused)
    assert isinstance(judge_removal("Deleting 'churn'", [ARCHIVED], ["Champion"]), Refused)
    assert judge_removal("Deleting 'churn'", [ARCHIVED, NONE], ["favourite"]) == Allowed()


def test_tags_of_the_server_are_reserved_in_any_spelling() -> None:
    assert isinstance(judge_tag("flywheel.author"), Refused)
    assert is_reserved(" Flywheel.digest")
    assert judge_tag("team") == Allowed()


def test_an_approval_binds_to_the_bytes_that_were_measured_at_the_place_they_are() -> None:
    asked = Transition("churn", "3", "ada", NONE, PRODUCTION)
    assert judge_bytes(asked, Measured("here", digest="sha256:1"), "here") == Allowed()
    assert isinstance(judge_bytes(asked, Measured("here", digest="sha256:1"), "there"), Refused)
    assert isinstance(judge_bytes(asked, Measured("here", fault="its source is elsewhere."), "here"), Refused)
    assert isinstance(judge_bytes(asked, None, "here"), Refused)
    assert judge_bytes(Transition("churn", "3", "ada", NONE, ARCHIVED), None, "here") == Allowed()


def test_a_version_that_was_rolled_back_is_not_approved_again() -> None:
    asked = Transition("churn", "3", "ada", ARCHIVED, PRODUCTION, failure="6 of 35 requests failed.")
    verdict = judge_transition("grace", asked, POLICY)
    assert isinstance(verdict, Refused)
    assert "version 3 of 'churn' was rolled back: 6 of 35 requests failed. Train a new version." in verdict.reason
    assert judge_transition("grace", replace(asked, failure=None), POLICY) == Allowed()
