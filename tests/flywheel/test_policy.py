"""The policy: what it lets people say, what it refuses with one sentence, and that sections only ever tighten."""

import fnmatch
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flywheel.errors import SpecError
from flywheel.freeze import DAYS, Freeze
from flywheel.identities import TRAINING
from flywheel.limits import BUILT_IN, Limits, PolicyLimits, stricter
from flywheel.policy import GatePolicy, Policy, Production, Role, Tighter, frozen, load_policy, parse_policy


def some_of(names: Sequence[str], least: int = 0) -> st.SearchStrategy[tuple[str, ...]]:
    return st.sets(st.sampled_from(names), min_size=least).map(lambda found: tuple(sorted(found)))


lengths = st.integers(1, 400).map(lambda hours: timedelta(hours=hours))
numbers = st.floats(0.01, 100)
parts: dict[str, Any] = {
    "champion_margin": st.none() | numbers,
    "minimum": st.dictionaries(st.sampled_from(["auc", "f1"]), numbers),
    "maximum": st.dictionaries(st.sampled_from(["loss"]), numbers),
    "size_mb": st.none() | numbers,
    "behaviours_failed": st.none() | st.integers(0, 5),
    "licences": st.none() | some_of(["MIT", "BSD-3-Clause", "Apache-2.0"]),
}
limits = st.builds(Limits, **parts)
gates = some_of(BUILT_IN)
freezes = st.sets(st.sampled_from(DAYS), min_size=1).map(
    lambda days: Freeze(reason="A day off.", days=tuple(sorted(days)))
)
sections = st.builds(
    Tighter,
    four_eyes=st.sampled_from([None, True]),
    unknown_contributors=st.sampled_from([None, "refuse"]),
    robots=st.sampled_from([None, "review"]),
    approvals=st.none() | st.integers(1, 5),
    approvals_expire=st.none() | lengths,
    expire=st.none() | lengths,
    freeze=st.lists(freezes, max_size=2).map(tuple),
    gates=gates,
    limits=limits,
)
policies = st.builds(
    Policy,
    production=st.builds(
        Production,
        four_eyes=st.booleans(),
        unknown_contributors=st.sampled_from(["allow", "refuse"]),
        robots=st.sampled_from(["review", "gates"]),
        approvals=st.integers(1, 5),
        approvals_expire=lengths,
        freeze=st.lists(freezes, max_size=2).map(tuple),
    ),
    gates=st.builds(GatePolicy, required=gates, limits=st.builds(PolicyLimits, **parts), expire=lengths),
)


def over(policy: Policy, *more: Tighter) -> Policy:
    """The policy for model `m` under these sections, laid over in this order."""
    patterns = ["?", "m", "*"]
    return policy.model_copy(update={"models": dict(zip(sorted(patterns), more, strict=False))}).for_model("m")


def is_no_looser(one: Policy, other: Policy) -> bool:
    new, old = one.production, other.production
    return all(
        [
            new.four_eyes >= old.four_eyes,
            (new.unknown_contributors == "refuse") >= (old.unknown_contributors == "refuse"),
            (new.robots == "review") >= (old.robots == "review"),
            new.approvals >= old.approvals,
            new.approvals_expire <= old.approvals_expire,
            set(new.freeze) >= set(old.freeze),
            set(one.gates.required) >= set(other.gates.required),
            one.gates.expire <= other.gates.expire,
            same(stricter(one.gates.limits, other.gates.limits)[0], one.gates.limits),
        ]
    )


def same(one: Limits, other: Limits) -> bool:
    """Whether limits say the same; the order of licences says nothing."""
    plain = [{**each.model_dump(), "licences": each.licences and set(each.licences)} for each in (one, other)]
    return plain[0] == plain[1]


def said(policy: Policy) -> Any:
    """What a policy says of one model, without the order of its parts."""
    document = policy.model_dump(exclude={"models"})
    licences = policy.gates.limits.licences
    document["gates"]["limits"]["licences"] = None if licences is None else sorted(licences)
    document["production"]["freeze"] = {freeze.model_dump_json() for freeze in policy.production.freeze}
    return document


@given(policy=policies, section=sections)
def test_a_section_never_loosens(policy: Policy, section: Tighter) -> None:
    assert is_no_looser(over(policy, section), policy)


@given(policy=policies, some=sections, more=sections)
def test_what_is_stricter_before_a_section_is_stricter_after_it(policy: Policy, some: Tighter, more: Tighter) -> None:
    assert is_no_looser(over(over(policy, some), more), over(policy, more))


@given(policy=policies, section=sections)
def test_a_section_laid_over_twice_is_laid_over_once(policy: Policy, section: Tighter) -> None:
    once = over(policy, section)
    assert said(over(once, section)) == said(once)


@given(policy=policies, three=st.tuples(sections, sections, sections))
def test_the_order_of_sections_does_not_matter(policy: Policy, three: tuple[Tighter, ...]) -> None:
    first, *others = [said(over(policy, *order)) for order in permutations(three)]
    assert all(other == first for other in others)


@given(policy=policies, name=st.text("abc-", max_size=5), pattern=st.sampled_from(["a*", "*", "b?", "abc"]))
def test_a_section_holds_for_the_models_that_it_names(policy: Policy, name: str, pattern: str) -> None:
    tightened = policy.model_copy(update={"models": {pattern: Tighter(approvals=10)}}).for_model(name)
    assert (tightened.production.approvals == 10) == fnmatch.fnmatchcase(name, pattern)


@given(policy=policies)
def test_a_policy_that_was_written_is_read_as_it_was(policy: Policy) -> None:
    again = Policy.model_validate(yaml.safe_load(yaml.safe_dump(policy.document(), sort_keys=False)))
    assert again == policy
    assert again.digest == policy.digest


def test_the_first_policy_is_one_that_works() -> None:
    assert parse_policy(yaml.safe_dump(Policy().document()), "x") == Policy()


WRONG = {
    "people: {eve: emperor}": "'people.eve.role' is wrong: role 'emperor' does not exist. Choose one of: viewer, data_",
    "people: {grace: reviewer}\nmay: {review: [boss]}": "'may.review.0' is wrong: role 'boss' does not exist.",
    "may: {reviw: [reviewer]}": "unknown key 'may.reviw'. Remove it or correct its spelling.",
    "may: {review: [reviewer, reviewer]}": "'may.review' is wrong: role 'reviewer' is there twice; remove one.",
    "people: {grace: reviewer, grace: viewer}": "key 'grace' is there twice",
    "people: {ada: data_scientist}": "nobody may review (may.review: reviewer)",
    "people: {}": "nobody may review",
    "people: {ada: data_scientist, grace: reviewer}\nproduction: {approvals: 2}": (
        "'production' wants 2 approvals, and only grace may review."
    ),
    "people: {ada: data_scientist, grace: reviewer}\nmodels: {x-*: {approvals: 3}}": "'models.x-*' wants 3 approvals",
    "people: {grace: reviewer}": "it could never change",
    f"people: {{{TRAINING}: reviewer}}": f"'{TRAINING}' is a service",
    "people: {a: {role: reviewer, commits_as: [x@y.z]}, b: {role: viewer, commits_as: [X@y.z]}}": (
        "address 'x@y.z' is there twice"
    ),
    "gates: {required: [size, size]}": "gate 'size' is there twice",
    "gates: {required: [weight]}": "'gates.required' names gate 'weight', which is not installed. Gates: ",
    "models: {x: {gates: [weight]}}": "'models.x.gates' names gate 'weight'",
    "people: {a: reviewer, b: reviewer}\nproduction: {approvals: 2}\nmodels: {x: {approvals: 1}}": (
        "'models.x' is looser than the policy: approvals 1 against 2. A section may only tighten"
    ),
    "models: {x: {four_eyes: false}}": "since a section only tightens. Leave it out.",
    "models: {x: {unknown_contributors: allow}}": "since a section only tightens",
    "models: {x: {robots: gates}}": "since a section only tightens",
    "models: {x: {approvals_expire: 60d}}": "'models.x' is looser than the policy: approvals_expire 60 days",
    "models: {x: {expire: 60d}}": "'models.x' is looser than the policy: expire 60 days",
    "gates: {limits: {minimum: {auc: 0.7}}}\nmodels: {x: {limits: {minimum: {f1: 0.1, auc: 0.6}}}}": (
        "limits.minimum.auc 0.6 against 0.7"
    ),
    "gates: {limits: {size_mb: 50}}\nmodels: {x: {limits: {size_mb: 60}}}": "limits.size_mb 60 against 50",
    "gates: {limits: {licences: [MIT]}}\nmodels: {x: {limits: {licences: [MIT, GPL-3.0]}}}": "licences with GPL-3.0",
    "production: {approvals: 0}": "'production.approvals' is wrong: ",
    "production: {approvals_expire: 0d}": "'production.approvals_expire' is wrong: ",
    "production: {approvals_expire: soon}": "write a number and a unit",
    "production: {approvals_expire: 99999999999999w}": "longer than time itself",
    "production: {freeze: [{reason: Feast}]}": "'production.freeze.0' is wrong: a freeze has either a span",
    "production: {freeze: [{reason: Feast, start: 2026-12-24T00:00:00Z}]}": "a span has a start and an end",
    "production: {freeze: [{reason: F, start: 2026-12-24T00:00:00Z, end: 2026-12-23T00:00:00Z}]}": (
        "starts before it ends"
    ),
    "production: {freeze: [{reason: F, start: 2026-12-24T00:00:00, end: 2026-12-25T00:00:00}]}": "timezone",
    "production: {freeze: [{reason: F, days: [caturday]}]}": "'production.freeze.0.days.0' is wrong",
    "production: {freeze: [{reason: F, days: [friday], time_zone: Mars/Olympus}]}": (
        "time zone 'Mars/Olympus' is not known"
    ),
    "production: {freeze: [{reason: F, days: [friday], hours: [22:00, 22:00]}]}": "begin and end at the same time",
    "production: {freeze: [{reason: F, start: 2026-12-24T00:00:00Z, end: 2026-12-25T00:00:00Z, hours: [1, 2]}]}": (
        "hours belong to days"
    ),
    "production: {freeze: [{reason: ' ', days: [friday]}]}": "a freeze has no reason",
    "people: [ada]": "'people' is wrong",
    "[ada]": "must be a mapping",
    "people: {": "is no YAML",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_could_not_work_is_refused_with_one_sentence_that_names_it(text: str) -> None:
    with pytest.raises(SpecError) as raised:
        parse_policy(text, "policy.yaml")
    message = str(raised.value)
    assert WRONG[text] in message
    assert message.startswith("Policy policy.yaml")
    assert "\n" not in message
    assert message.endswith(".")


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read: No such file"):
        load_policy(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match="no text in UTF-8"):
        load_policy(tmp_path / "binary.yaml")


def test_people_are_known_by_role_and_by_the_addresses_they_commit_under() -> None:
    policy = parse_policy("people: {ada: data_scientist, g: {role: reviewer, commits_as: [G@x.org]}}", "x")
    assert (policy.role("ada"), policy.role("nobody")) == (Role.DATA_SCIENTIST, None)
    assert policy.reviewers() == {"g"}
    assert (policy.person_of("g@X.org"), policy.person_of("ada@x.org")) == ("g", None)


def freeze_of(text: str) -> Policy:
    return parse_policy(f"production: {{freeze: [{{reason: Feast, {text}}}]}}", "x")


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (
            "start: 2026-12-24T00:00:00+01:00, end: 2026-12-27T00:00:00+01:00",
            [datetime(2026, 12, 23, 23, tzinfo=UTC), datetime(2026, 12, 26, 23, 59, tzinfo=BERLIN)],
            [datetime(2026, 12, 23, 22, 59, tzinfo=UTC), datetime(2026, 12, 27, tzinfo=BERLIN)],
        ),
        (
            "days: [saturday, sunday], time_zone: Europe/Berlin",
            [datetime(2026, 11, 27, 23, 30, tzinfo=UTC), datetime(2026, 11, 29, 22, 59, tzinfo=UTC)],
            [datetime(2026, 11, 27, 22, 59, tzinfo=UTC), datetime(2026, 11, 29, 23, tzinfo=UTC)],
        ),
        (  # over midnight: friday evening to saturday morning
            "days: [friday], hours: [22:00, 06:30], time_zone: Europe/Berlin",
            [datetime(2026, 11, 27, 22, tzinfo=BERLIN), datetime(2026, 11, 28, 6, 29, tzinfo=BERLIN)],
            [
                datetime(2026, 11, 27, 21, 59, tzinfo=BERLIN),
                datetime(2026, 11, 27, 6, tzinfo=BERLIN),
                datetime(2026, 11, 28, 6, 30, tzinfo=BERLIN),
                datetime(2026, 11, 28, 22, tzinfo=BERLIN),
            ],
        ),
        (
            "days: [friday], hours: ['16:00', '24:00']",
            [datetime(2026, 11, 27, 16, tzinfo=UTC), datetime(2026, 11, 27, 23, 59, tzinfo=UTC)],
            [datetime(2026, 11, 27, 15, 59, tzinfo=UTC), datetime(2026, 11, 28, tzinfo=UTC)],
        ),
        (  # 02:30 does not exist on the day when clocks go forward, and is there twice in autumn
            "days: [sunday], hours: [02:00, 03:00], time_zone: Europe/Berlin",
            [datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)],
            [datetime(2026, 3, 29, 1, 30, tzinfo=UTC), datetime(2026, 10, 25, 2, tzinfo=UTC)],
        ),
    ],
)
def test_a_freeze_holds_in_its_span_or_hours_in_its_own_zone(
    text: str, inside: list[datetime], outside: list[datetime]
) -> None:
    policy = freeze_of(text)
    assert all(frozen(policy, moment) for moment in inside)
    assert not any(frozen(policy, moment) for moment in outside)


def test_a_freeze_says_when_it_holds() -> None:
    assert freeze_of("days: [friday], hours: [22:00, 6:00]").production.freeze[0].told() == (
        "on friday from 22:00 to 06:00 (UTC)"
    )
