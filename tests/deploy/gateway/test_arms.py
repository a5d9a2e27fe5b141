"""What the gateway counts by arm, with a real Envoy: requests, errors, and how many took longer than a bound."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from deploy.gateway.admin import Counts
from deploy.gateway.arms import arm_counts
from deploy.gateway.traffic import Backend, Replica, Split
from deploy.shares import ArmCounts
from flywheel.stack.gateway_stats import RATIO, stats_section, threshold_seconds, thresholds_ms
from tests.deploy.gateway.house import House, house, until
from tests.deploy.gateway.test_traffic import Client, servers

ONE, TWO, THREE = (Backend("flights", number, (Replica(4000 + int(number)),)) for number in "123")
CANARY = Split(ONE, ((TWO, 10),), "r")


def counted(home: House, split: Split, requests: int) -> dict[str, ArmCounts]:
    """Wait until the histograms hold so many requests that were answered, since Envoy shows them late."""

    def timed() -> int:
        found = arm_counts(split, home.admin.counts())
        return sum(max(one.slow.values(), default=0) for arm, one in found.items() if arm != "shadow")

    until(lambda: timed() >= requests)
    return arm_counts(split, home.admin.counts())


def test_each_arm_of_an_abn_counts_what_it_was_given_whoever_answered_in_the_end(tmp_path: Path) -> None:
    with house(tmp_path, "{}") as home, servers("1", "2", "3") as (old, new, third):
        split = Split(old.backend, ((new.backend, 30), (third.backend, 30)), "r")
        home.route(split)
        client, tries, failed = Client(home), 200, 0
        for server in (old, new, third):
            server.seconds = 0.002
        for _ in range(tries):
            before = len(third.seen)
            third.status = 503 if before % 3 == 0 else 200  # of its own requests: five in a row would eject it
            assert client.ask()[0] == 200
            failed += third.status == 503 and len(third.seen) > before
        found = counted(home, split, tries)
        drawn = Counter(one["x-flywheel-arm"] for server in (old, new) for one in server.seen)
        drawn["challenger-2"] = len(third.seen)  # not twice where the champion was asked as well
        assert failed > 5
        for arm, errors in (("champion", 0), ("challenger", 0), ("challenger-2", failed)):
            assert (found[arm].requests, found[arm].errors) == (drawn[arm], errors), arm
            assert found[arm].slow[0.002] == found[arm].requests, arm


def test_slow_requests_are_counted_at_bounds_from_a_millisecond_to_a_minute_by_arm_and_for_the_shadow(
    tmp_path: Path,
) -> None:
    with house(tmp_path, "{}") as home, servers("1", "2") as (old, new):
        old.seconds, new.seconds = 0.1, 0.3
        split = Split(old.backend, ((new.backend, 0),), "r", mirror_percent=100)
        home.route(split)
        assert {Client(home).ask()[0] for _ in range(10)} == {200}
        until(lambda: len(new.seen) == 10)
        until(lambda: max(arm_counts(split, home.admin.counts())["shadow"].slow.values()) == 10)
        found = counted(home, split, 10)
        assert list(found["champion"].slow) == [one / 1000 for one in thresholds_ms()]
        assert found["champion"].slow[0.1] == found["shadow"].slow[0.26] == 10  # of 250 to 259 ms none is told apart
        assert found["champion"].slow[60.0] == found["shadow"].slow[60.0] == 0
        assert found["challenger"] == ArmCounts(0, 0, dict.fromkeys(found["challenger"].slow, 0))


def test_counters_go_on_while_shares_a_mirror_and_who_stands_in_change(tmp_path: Path) -> None:
    with house(tmp_path, "{}") as home, servers("1", "2", "3") as (before, old, new):
        shadow = Split(old.backend, ((new.backend, 0),), "r", mirror_percent=100, previous=before.backend)
        steps = [shadow, replace(shadow, mirror_percent=0.0), replace(shadow, challengers=((new.backend, 50),))]
        drawn = Counter[str]()
        for split in [*steps, replace(steps[2], previous=None), replace(shadow, mirror_percent=0.0)]:
            home.route(split)
            drawn.update("champion" if Client(home).ask()[1] == "2" else "challenger" for _ in range(20))
            counts = arm_counts(split, home.admin.counts())
            assert {arm: counts[arm].requests for arm in drawn} == dict(drawn)
        assert set(drawn) == {"champion", "challenger"}
        assert before.seen == []


def test_a_gateway_that_was_started_anew_counts_in_another_life(tmp_path: Path) -> None:
    with house(tmp_path, "{}") as home, servers("1", "2") as (old, new):
        split = Split(old.backend, ((new.backend, 50),), "r")
        home.route(split)
        lives = {one.epoch for _ in range(2) for one in arm_counts(split, home.admin.counts()).values()}
        assert len(lives) == 1
        home.restart_envoy()
        again = {one.epoch for one in arm_counts(split, home.admin.counts()).values()}
        assert len(lives | again) == 2
        assert "" not in lives | again


def test_requests_that_went_past_the_canary_are_no_evidence_on_it() -> None:
    counts = {
        "flights-v1-champion": Counts(900, 3, slow={0.1: 40}),
        "flights-v1": Counts(attempts=1000, failures=3),
        "flights-v2-or-champion": Counts(100, 2, slow={0.1: 30, 1.0: 4}),
        "flights-v2": Counts(attempts=10, failures=2),
    }
    assert arm_counts(CANARY, counts) == {
        "champion": ArmCounts(900, 3, {0.1: 40}),
        "challenger": ArmCounts(10, 2, {0.1: 10, 1.0: 4}),
        "shadow": ArmCounts(0, 0, {}),
    }


def test_thresholds_are_told_from_what_envoy_is_told_and_a_fifth_apart() -> None:
    (told,) = stats_section()["stats_config"]["histogram_bucket_settings"]
    assert [threshold_seconds(one) for one in told["buckets"][:-1]] == [one / 1000 for one in thresholds_ms()]
    rising = [(low, high) for low, high in pairwise(thresholds_ms()) if high > 5]
    assert all(high <= low * RATIO or high == low + 1 for low, high in rising)
