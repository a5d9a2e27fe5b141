"""What is kept stays warm: a version without a route, and what was measured of one that has stopped."""

import json
from dataclasses import replace

from deploy.desired import Served
from deploy.local.choice import Choice
from deploy.local.places import Place, Places
from deploy.local.target import LocalTarget
from deploy.loop.interfaces import Readiness
from deploy.shares import Share
from flywheel.digest import folder_digest
from flywheel.stack.supervisor import stop_and_remove_program
from tests.deploy.conftest import wait_for
from tests.deploy.gateway.test_gateway import Site
from tests.deploy.local.conftest import House, answered_by, settled


def test_going_back_to_a_version_that_was_kept_is_one_change_of_the_route_and_no_start(
    gated_house: tuple[House, Site],
) -> None:
    house, site = gated_house
    one, two = house.version("1"), house.version("2")
    target = house.target()
    assert [settled(target, served).readiness for served in (one, two)] == [Readiness.READY] * 2
    for served in (one, two):
        _route(target, served)
        assert answered_by(site) == served.version
    wait_for(lambda: target.retire({one, two}), "quiet")
    before = house.pids()
    assert {f"{kind}-tiny-v{number}" for kind in ("agent", "scorer") for number in "12"} == set(before)
    assert target.healthy("tiny") >= {"1", "2"}  # the gateway goes on asking it
    written = (site.folder / "cds.json").read_text()
    target.route([Share(one)])  # one call: nothing new must become healthy first
    assert json.loads((site.folder / "rds.json").read_text()) != {}
    wait_for(lambda: "tiny" in target.route([Share(one)]), "the gateway's word")
    assert answered_by(site) == "1"
    assert (site.folder / "cds.json").read_text() == written
    assert house.pids() == before
    wait_for(lambda: target.retire({one}), "the end of version 2")
    assert house.programs() == {"agent-tiny-v1", "scorer-tiny-v1"}


def test_what_was_measured_is_known_after_the_stack_was_down(house: House) -> None:
    served = house.version("1")
    folder = house.registry / "1"
    (folder / "artifacts" / "package" / "model.onnx").write_bytes(b"a graph")  # so that there is something to measure
    served = replace(served, digest=folder_digest(folder))
    chosen = Choice("auto", "mlflow", "Both answer alike, and ONNX is not faster.")
    places = Places(house.settings.root / "run" / "serving.json")
    places.keep(Place(served, choice=chosen))
    target = house.target()
    assert target.ensure(served).serving["why"] == chosen.reason
    place = places.read()[served.subject]
    assert len(place.agents) == 1
    for name in place.programs:  # as `flywheel down` and `flywheel up` leave it
        stop_and_remove_program(house.settings, name)
    assert target.ensure(served).serving["why"] == chosen.reason
    assert settled(target, served).readiness is Readiness.READY


def test_a_choice_that_failed_is_made_again_when_the_version_is_wanted_again(house: House) -> None:
    served = house.version("1")
    places = Places(house.settings.root / "run" / "serving.json")
    places.keep(Place(served, choice=Choice("auto", None, "Its environment cannot be built.")))
    assert house.target().ensure(served).readiness is Readiness.STARTING


def _route(target: LocalTarget, served: Served) -> None:
    wait_for(lambda: "tiny" in target.route([Share(served)]), f"the route to version {served.version}")
