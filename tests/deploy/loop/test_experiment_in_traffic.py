"""An experiment on a real stack: three tiny versions behind Envoy, users that stay where they are, and its end."""

import json
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from flywheel.connections import endpoints
from flywheel.events import EventKind
from flywheel.settings import Settings
from tests.deploy.shop import Shop, open_shop

USERS = 600
SHARES = {"1": 50, "2": 30, "3": 20}


@pytest.fixture
def shop(stack: Settings, tmp_path: Path) -> Iterator[Shop]:
    made = open_shop(stack, f"abn-{uuid.uuid4().hex[:8]}", tmp_path / "registry")
    yield made
    made.close()


def answered_by(shop: Shop, user: str) -> str:
    """Ask as a user; return the version that answered; anything but an answer raises."""
    url = f"{endpoints(shop.settings).gateway_url}/{shop.name}/invocations"
    request = urllib.request.Request(url, headers={"x-flywheel-unit": user})  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own server
        return str(json.load(answer)["version"])


def file_of(shop: Shop, **changes: object) -> str:
    document = {
        "name": "three",
        "usecase": shop.name,
        "metric": {"name": "conversion"},
        "shares": {"champion": 50, "challenger": 30, "challenger-2": 20},
        "control": "champion",
        "versions": {"challenger": "2", "challenger-2": "3"},
    }
    path = shop.registry / "experiment.yaml"
    path.write_text(yaml.safe_dump(document | changes))
    return str(path)


def test_users_are_split_by_the_shares_and_stay_and_go_back_when_people_end_it(shop: Shop) -> None:
    shop.approve("1")
    assert shop.controller().wait(60) == 0
    shop.approve("2")
    assert shop.command("experiment", "start", file_of(shop)).wait(60) != 0
    assert "Version 3 of" in (shop.registry / "controller.log").read_text()
    shop.approve("3")
    assert shop.command("experiment", "start", file_of(shop), "--dry-run").wait(60) == 0
    assert shop.rollout("2") == []
    assert shop.command("experiment", "start", file_of(shop)).wait(60) == 0
    assert shop.rollout("2") == [(EventKind.ROLLOUT_STARTED, None)]
    assert shop.controller().wait(60) == 0  # it does not wait for the experiment to end
    assert (EventKind.ROLLOUT_STEP, "done") in shop.rollout("2")
    first, again = ([answered_by(shop, f"user-{number}") for number in range(USERS)] for _ in range(2))
    assert first == again
    for version, share in SHARES.items():
        # Five standard deviations of a share of 600 users are at most 0.103.
        assert abs(first.count(version) / USERS - share / 100) < 0.103
    assert shop.command("experiment", "stop", shop.name, "--because", "enough").wait(60) == 0
    assert shop.controller().wait(60) == 3
    assert {answered_by(shop, f"user-{number}") for number in range(50)} == {"1"}
    assert shop.read("stages") == {"1": "Production", "2": "Archived", "3": "Archived"}
