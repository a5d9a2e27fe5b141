"""Tokens as a fold of events: whatever was issued and revoked in whatever order, and only what was issued lets in."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.events import GENESIS, Event, EventKind, Head, chained
from flywheel.service_tokens import FORM
from registry.access.tokens import MOST_DAYS, SCOPES, fold
from registry.doors.census import Area

START = datetime(2026, 1, 1, tzinfo=UTC)
IDS = ("00000000000a", "00000000000b", "00000000000c")
STEPS = st.lists(st.tuples(st.sampled_from(["issue", "revoke", "other"]), st.sampled_from(IDS)), max_size=30)


def told(steps: list[tuple[str, str]]) -> list[Event]:
    head, found = GENESIS, []
    for hours, (what, number) in enumerate(steps):
        kind = {"issue": EventKind.TOKEN_ISSUED, "revoke": EventKind.TOKEN_REVOKED, "other": EventKind.ALERT}[what]
        body = {"name": "n", "user": "ada", "scopes": ["read"], "digest": "d"}
        body_of = {"issue": {**body, "expires_at": (START + timedelta(days=1)).isoformat()}}.get(what, {})
        event = chained(head, kind, f"token:{number}", "ada", body_of, START + timedelta(hours=hours))
        head = Head(event.seq, event.hash)
        found.append(event)
    return found


@given(STEPS)
def test_a_token_is_void_from_its_first_revocation_on_and_others_are_not(steps: list[tuple[str, str]]) -> None:
    found = {token.id: token for token in fold(told(steps))}
    for number in IDS:
        mine = [(hours, what) for hours, (what, other) in enumerate(steps) if other == number and what != "other"]
        issued = [hours for hours, what in mine if what == "issue"]
        assert (number in found) == bool(issued)
        if issued:
            void = [hours for hours, what in mine if what == "revoke" and hours > issued[-1]]
            wanted = START + timedelta(hours=void[0]) if void else None
            assert found[number].revoked_at == wanted


@given(STEPS, st.integers(0, 30))
def test_what_is_added_to_the_trail_never_revives_a_revoked_token(steps: list[tuple[str, str]], cut: int) -> None:
    once = [step for place, step in enumerate(steps) if step[0] != "issue" or step not in steps[:place]]
    before = {token.id for token in fold(told(once[:cut])) if token.revoked_at is not None}
    after = {token.id for token in fold(told(once)) if token.revoked_at is not None}
    assert before <= after


def test_a_token_ends_at_the_very_second_at_which_it_expires() -> None:
    (token,) = fold(told([("issue", IDS[0])]))
    assert token.state(token.expires_at - timedelta(microseconds=1)) == "valid"
    assert token.state(token.expires_at) == "expired"
    assert "digest" not in token.shown(START)


def test_no_token_is_for_making_others() -> None:
    assert Area.OWN not in SCOPES
    assert MOST_DAYS == 365


@pytest.mark.parametrize("text", ["fwt_0_1", "FWT_00000000000a_" + "0" * 64, "fwt_00000000000a_" + "0" * 64 + "\n"])
def test_texts_that_only_look_like_a_token_are_none(text: str) -> None:
    assert FORM.fullmatch(text) is None
