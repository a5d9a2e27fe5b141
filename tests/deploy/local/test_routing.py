"""From what the controller wants to what may be routed now: pure rules."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.desired import Served
from deploy.gateway.admin import Accepted, Gateway
from deploy.gateway.traffic import Backend, Replica, Split
from deploy.local.places import Agent, Place, Role
from deploy.local.routing import Routing, safe_split, split_of
from deploy.shares import Challenger, Share
from flywheel.errors import SpecError
from flywheel.settings import Settings

VERSIONS = [Served("flights", str(number), f"sha256:{number}") for number in range(1, 6)]
PLACES = {
    served.subject: Place(served, agents=(Agent(1, 4000 + int(served.version), 0, "s", Role.SERVING),))
    for served in VERSIONS
}
DEFAULT = Backend("flights", "default", (Replica(4999),))


@st.composite
def shares(draw: st.DrawFn) -> Share:
    champion, *others = draw(st.permutations(VERSIONS))
    percents = draw(st.lists(st.integers(0, 33), max_size=3))
    challengers = tuple(Challenger(one, percent) for one, percent in zip(others, percents, strict=False))
    previous = others[3] if draw(st.booleans()) else None
    return Share(champion, challengers, draw(st.sampled_from([0.0, 50.0])), previous, "r" if percents else None)


@given(shares(), st.sampled_from([None, DEFAULT]))
def test_a_split_is_its_share_with_agents(share: Share, default: Backend | None) -> None:
    split = split_of(share, PLACES, default)
    assert split is not None
    assert {arm: one.version for arm, one in split.arms.items()} == {
        arm: served.version for arm, served in share.arms.items()
    }
    assert sum(split.weights.values()) == 100
    assert all(split.weights.get(one.served.version, 0) == one.percent for one in share.challengers)
    assert (split.rollout, split.mirror_percent, split.default) == (share.rollout, share.mirror_percent, default)
    assert (split.previous.version if split.previous else None) == (share.previous.version if share.previous else None)


@given(shares(), st.sets(st.sampled_from([served.subject for served in VERSIONS])))
def test_who_takes_requests_must_have_a_place_and_who_stands_in_is_left_out_without_one(
    share: Share, known: set[str]
) -> None:
    split = split_of(share, {subject: PLACES[subject] for subject in known})
    assert (split is not None) == all(served.subject in known for served in share.arms.values())
    if split is not None and share.previous is not None:
        assert (split.previous is not None) == (share.previous.subject in known)


@given(shares(), st.none() | shares(), st.sets(st.sampled_from([place.backend.cluster for place in PLACES.values()])))
def test_nothing_new_takes_requests_that_is_not_healthy_and_what_is_not_new_needs_no_health(
    share: Share, before: Share | None, healthy: set[str]
) -> None:
    wanted, routed = split_of(share, PLACES), split_of(before, PLACES) if before is not None else None
    assert wanted is not None
    found = safe_split(wanted, routed, healthy)
    known = {one.cluster for one in routed.backends} if routed is not None else set()
    if found is not None and found != routed:
        assert all(one.cluster in healthy | known for one in found.arms.values())
    if {one.cluster for one in wanted.arms.values()} <= healthy | known:
        assert found == wanted
    if routed is not None:
        assert found in (wanted, routed)


def test_going_back_to_the_warm_predecessor_needs_no_health() -> None:
    one, two = (PLACES[served.subject].backend for served in VERSIONS[:2])
    assert safe_split(Split(one), Split(two, previous=one), set()) == Split(one)
    assert safe_split(Split(one), Split(two), set()) == Split(two)


class Silent(Gateway):
    def accepted(self) -> Accepted:
        return Accepted(None, None)


def test_a_wrong_serving_yaml_holds_as_it_was_and_one_that_was_never_read_routes_nothing(tmp_path: Path) -> None:
    file, settings = tmp_path / "serving.yaml", Settings(home=tmp_path)
    routes = tmp_path / "envoy" / "dynamic" / "rds.json"
    routes.parent.mkdir(parents=True)
    routes.write_text('{"version_info": "0", "resources": []}')
    routing = Routing(settings, Silent("http://127.0.0.1:1"))
    assert routing.bring([Share(VERSIONS[0])], PLACES) == set()
    file.write_text("no such key: 1")
    assert routing.bring([Share(VERSIONS[0])], PLACES) == set()
    with pytest.raises(SpecError, match="no such key"):
        Routing(settings, Silent("http://127.0.0.1:1")).bring([Share(VERSIONS[0])], PLACES)
