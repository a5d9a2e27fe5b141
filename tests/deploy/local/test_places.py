"""What is remembered of who runs where."""

import json
from pathlib import Path

import pytest

from deploy.desired import Served
from deploy.local.choice import Choice
from deploy.local.places import Agent, Place, Places, Role, Worker
from flywheel.errors import FlywheelError

SERVED = Served("flights", "3", "sha256:d")
PLACE = Place(
    SERVED,
    (Worker(1, 4001),),
    (Agent(1, 4002, 4003, "a", Role.SERVING), Agent(2, 4004, 4005, "b", Role.COMING)),
    Choice("auto", "mlflow", "The package has no ONNX form.", {"rows": 3}),
)


def test_a_place_is_read_as_it_was_kept(tmp_path: Path) -> None:
    places = Places(tmp_path / "serving.json")
    places.keep(PLACE)
    assert Places(tmp_path / "serving.json").read() == {"flights/3": PLACE}
    places.forget(PLACE)
    assert places.read() == {}


def test_only_agents_that_serve_are_shown_to_the_gateway_once_there_are_some() -> None:
    assert [one.http for one in PLACE.backend.replicas] == [4002]


def test_programs_are_named_in_the_order_in_which_they_start() -> None:
    assert PLACE.programs == ["scorer-flights-v3", "agent-flights-v3", "agent-flights-v3-2"]


def test_the_form_before_replicas_is_read_as_one_agent_that_serves_and_is_out_of_date(tmp_path: Path) -> None:
    path = tmp_path / "serving.json"
    path.write_text(json.dumps({"flights/3": {"served": vars(SERVED), "agent": 4002, "scorer": 4001}}))
    place = Places(path).read()["flights/3"]
    assert place == Place(SERVED, (Worker(1, 4001),), (Agent(1, 4002, 0, "", Role.SERVING),))
    assert place.programs == ["scorer-flights-v3", "agent-flights-v3"]


@pytest.mark.parametrize("content", ["{", "[]", '{"flights/3": {}}', '{"flights/3": {"served": {"usecase": "x"}}}'])
def test_a_damaged_file_is_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "serving.json").write_text(content)
    with pytest.raises(FlywheelError, match="is damaged"):
        Places(tmp_path / "serving.json").read()
