"""What a real gateway writes of a request's rollout, arm and unit, and tells the agent: what evidence is counted by."""

from pathlib import Path
from typing import Any

import pytest

from deploy.gateway.traffic import Split
from deploy.log.access_lines import parse_request
from tests.deploy.gateway.house import House, house, until
from tests.deploy.gateway.test_traffic import servers


def lines(home: House, count: int) -> list[dict[str, Any]]:
    path = home.root / "logs" / "gateway.jsonl"
    until(lambda: path.exists() and path.read_bytes().count(b"\n") >= count)
    found = [parse_request(line) for line in path.read_bytes().splitlines()]
    return [row for row in found if row is not None]


@pytest.mark.parametrize(
    ("sticky", "headers", "unit"),
    [
        ("{}", {"x-flywheel-unit": "ada"}, "ada"),
        ("{}", {}, None),
        ("{header: x-user}", {"x-user": "ada", "x-flywheel-unit": "liar"}, "ada"),
        ("{header: x-user}", {"x-flywheel-unit": "liar"}, None),
        ("{cookie: caller}", {"cookie": "a=b; caller=kim", "x-request-id": "r-1"}, "kim"),
        ("{cookie: caller}", {"cookie": "caller=kim", "x-flywheel-unit": "ada"}, "ada"),
        ("{cookie: caller}", {"x-request-id": "r-1"}, "r-1"),  # which becomes the cookie
    ],
)
def test_a_requests_unit_is_what_it_was_split_by(
    tmp_path: Path, sticky: str, headers: dict[str, str], unit: str | None
) -> None:
    with house(tmp_path, f"defaults: {{sticky: {sticky}}}\n") as home, servers("1", "2") as (old, new):
        home.route(Split(old.backend, ((new.backend, 50),), "flights-2"))
        status, body, _ = home.ask("/flights/invocations", b"{}", None, **headers)
        assert status == 200
        (row,) = lines(home, 1)
        arm, seen = {"1": ("champion", old.seen), "2": ("challenger", new.seen)}[body["version"]]
        assert (row["rollout"], row["arm"], row["unit"]) == ("flights-2", arm, unit)
        assert seen[-1].get("x-flywheel-unit") == unit


def test_outside_a_rollout_and_where_no_arm_was_asked_a_line_names_none(tmp_path: Path) -> None:
    with house(tmp_path, "{}") as home, servers("1") as (only,):
        home.route(Split(only.backend))
        claims = {"x-flywheel-arm": "challenger", "x-flywheel-rollout": "mine", "x-flywheel-unit": "ada"}
        assert home.ask("/flights/invocations", b"{}", None, **claims)[0] == 200
        assert home.ask("/nothing/here", b"{}", None, **claims)[0] == 404
        for row in lines(home, 2):
            assert (row["rollout"], row["arm"], row["unit"], row["grpc_status"]) == (None, None, "ada", None)
