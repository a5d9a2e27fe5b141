"""Requests that name an arm or a version, at a real gateway: who answers, what arrives, and what is counted."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from deploy.gateway.arms import arm_counts
from deploy.gateway.traffic import Split
from tests.deploy.gateway.house import TOKEN, House, house, until, write_token

FORCED = "gateway: {forced_arm: true}\n"
PATH = "/flights/invocations"


@pytest.fixture
def abn(tmp_path: Path) -> Iterator[tuple[House, Split]]:
    """A gateway before a champion (2), challengers (3 with 40 %, 4 with none) and a previous version (1)."""
    with house(tmp_path, FORCED) as home:
        old, champion, third, fourth = (home.version(number) for number in "1234")
        split = Split(champion, ((third, 40), (fourth, 0)), "r", previous=old)
        home.route(split)
        yield home, split


def told(answer: dict[str, Any]) -> tuple[str, str | None, str | None, str | None]:
    """Return who answered, and what it was told of arm, rollout and previous version."""
    arm, rollout, previous = (answer["headers"].get(f"x-flywheel-{name}") for name in ("arm", "rollout", "previous"))
    return answer["version"], arm, rollout, previous


def test_who_names_an_arm_or_a_version_is_answered_by_it_and_proves_nothing(abn: tuple[House, Split]) -> None:
    home, split = abn
    named = {"champion": "2", "challenger": "3", "challenger-2": "4"}
    for path in (PATH, "/invocations", "/v2/models/flights/infer"):
        for arm, version in named.items():
            assert told(home.ask(path, x_flywheel_force_arm=arm)[1]) == (version, "forced", None, None)
        for version in "1234":
            assert told(home.ask(path, x_flywheel_version=version)[1]) == (version, "forced", None, None)
    counts = home.admin.counts()
    assert all(one.requests == one.errors == 0 for one in arm_counts(split, counts).values())
    assert sum(counts[f"flights-v{version}-forced"].requests for version in "1234") == 21


def test_a_version_in_v2s_path_is_asked_itself(abn: tuple[House, Split]) -> None:
    home, split = abn
    for start in ("/flights", ""):
        for version in "1234":
            for end in ("", "/ready", "/infer"):
                path = f"/v2/models/flights/versions/{version}{end}"
                status, body, _ = home.ask(start + path)
                assert (status, body["path"], told(body)[:2]) == (200, path, (version, "forced"))
    assert all(one.requests == 0 for one in arm_counts(split, home.admin.counts()).values())


def test_who_names_what_is_not_live_is_told_what_is(abn: tuple[House, Split]) -> None:
    home, _ = abn
    live = "No such version or arm of 'flights' is live. Live versions: 2 (champion), 3 (challenger), "
    live += "4 (challenger-2), 1 (previous)."
    for path in ("/flights/v2/models/flights/versions/33/infer", "/v2/models/flights/versions/champion/ready"):
        status, body, _ = home.ask(path)
        assert (status, body["error"]) == (404, f"{live} Ask for one of them, or leave the version out of the path.")
    for headers in (
        {"x_flywheel_force_arm": "challenger-3"},
        {"x_flywheel_version": "33"},
        {"x_flywheel_version": "3", "x_flywheel_force_arm": "champion"},
    ):
        status, body, _ = home.ask(PATH, b"{}", None, **headers)
        assert (status, body["error"]["rule"]) == (404, "path")
        assert body["error"]["message"].startswith(live)
    assert [one for version in "1234" for one in home.seen(version)] == []


def test_a_forced_request_is_answered_by_nobody_else(tmp_path: Path) -> None:
    with house(tmp_path, FORCED) as home:
        champion, canary = home.version("1"), home.version("2")
        home.route(Split(champion, ((canary, 50),), "r"))
        home.processes[-1].kill()
        home.processes[-1].wait()
        assert {home.ask()[1]["version"] for _ in range(20)} == {"1"}
        before = len(home.seen("1"))
        status, body, _ = home.ask(x_flywheel_force_arm="challenger")
        assert (status, body["error"]["rule"]) == (503, "gateway")
        assert len(home.seen("1")) == before


def test_grpc_may_name_them_too(abn: tuple[House, Split]) -> None:
    home, _ = abn
    with grpc.insecure_channel(f"127.0.0.1:{home.ports.gateway}") as channel:
        call: Any = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for key, name, version in (("force-arm", "challenger-2", "4"), ("version", "1", "1")):
            answer = call(b"", metadata=[(f"x-flywheel-{key}", name)], timeout=10)
            assert json.loads(answer) == {"version": version, "arm": "forced"}
        with pytest.raises(grpc.RpcError) as fault:
            call(b"", metadata=[("x-flywheel-version", "33")], timeout=10)
        assert "Live versions: 2 (champion)" in str(fault.value.details())


def test_a_body_that_is_too_large_is_refused_there_as_well(tmp_path: Path) -> None:
    with house(tmp_path, f"defaults: {{body_bytes: 1000}}\n{FORCED}") as home:
        home.route(Split(home.version("1")))
        for path in (PATH, "/flights/v2/models/flights/versions/1/infer"):
            assert home.ask(path, b"x" * 1001, None, x_flywheel_version="1")[0] == 413
            assert home.ask(path, iter([b"x" * 600] * 2), None, x_flywheel_version="1")[0] == 413  # type: ignore[arg-type]
            assert home.ask(path, b"x" * 1000, None, x_flywheel_version="1")[0] == 200


def test_strangers_name_nobody_unless_they_may(tmp_path: Path) -> None:
    with house(tmp_path, "{}") as home:
        champion, canary = home.version("1"), home.version("2")
        home.route(Split(champion, ((canary, 50),), "r"))
        for header in ("x-flywheel-force-arm", "x-flywheel-version"):
            status, body, _ = home.ask(PATH, b"{}", None, **{header: "challenger"})
            assert status == 404
            assert body["error"]["message"].startswith(
                "This gateway lets no client name an arm or a version. Leave out"
            )
        assert home.ask("/v2/models/flights/versions/2/infer")[1]["version"] == "2"


@pytest.mark.parametrize(("more", "status"), [("", 200), (", forced_arm: false", 404)])
def test_who_is_known_may_name_them_unless_the_policy_says_otherwise(tmp_path: Path, more: str, status: int) -> None:
    write_token(tmp_path)
    with house(tmp_path, f"gateway: {{auth: token{more}}}\n") as home:
        home.route(Split(home.version("1")))
        until(lambda: home.ask(authorization=f"Bearer {TOKEN}")[0] == 200)
        assert home.ask(authorization=f"Bearer {TOKEN}", x_flywheel_version="1")[0] == status


def test_callers_of_an_abn_stay_and_nobody_moves_back_or_across_while_shares_grow(tmp_path: Path) -> None:
    with house(tmp_path, "{}") as home:
        champion, *others = [home.version(number) for number in "1234"]
        before = dict.fromkeys(range(120), "1")
        for percents in ((5, 5, 5), (5, 20, 10), (30, 25, 33)):
            home.route(Split(champion, tuple(zip(others, percents, strict=True)), "r"))
            answered = {number: home.ask(x_flywheel_unit=f"user-{number}")[1] for number in before}
            now = {number: one["version"] for number, one in answered.items()}
            assert all(now[number] == version for number, version in before.items() if version != "1")
            arms = {"1": "champion", "2": "challenger", "3": "challenger-2", "4": "challenger-3"}
            assert all(told(one)[1] == arms[one["version"]] for one in answered.values())
            before = now
        assert set(before.values()) == {"1", "2", "3", "4"}
