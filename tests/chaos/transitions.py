"""kill -9 of the controller right before and right after everything that it changes, while clients ask.

Each way (promotion, rollback by verdict, supersession) is run straight once, which says what it changes and in which
order. Then it is run again from the same start, and the controller dies at each of these points, once at each; another
one goes on. No request may fail, and it must end as the straight run did.
"""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flywheel.connections import endpoints
from flywheel.events import EventKind
from flywheel.settings import Settings
from tests.chaos.load import Answers, Load
from tests.chaos.report import Report
from tests.deploy.deaths import EFFECTS, POINTS, points_of
from tests.deploy.shop import ROLLOUT, Shop, open_shop

TRIES = 3  # what is still drained when a document is written depends on the time: such a point may not come up again
SECONDS = 90.0  # within which a controller ends by itself
BAKED = {**ROLLOUT, "shadow": {"requests": 20}, "bake": "5s"}
NO_BAKE = ROLLOUT["bake"]


@dataclass(frozen=True)
class Way:
    """One way of a rollout: how the versions take over, what people do first, and what they do once it is under way.

    Args:
        name: For reports.
        spec: The `rollout` section of usecase.yaml.
        begin: Approves the version that comes.
        newest: The version that everything waits for.
        meanwhile: Is called again and again until it says that it has done what it waits to do.
    """

    name: str
    spec: Mapping[str, Any]
    begin: Callable[[Shop], None]
    newest: str = "2"
    meanwhile: Callable[[Shop], bool] = lambda shop: True


@dataclass(frozen=True)
class End:
    """How a way ended."""

    events: tuple[Any, ...]
    stages: Mapping[str, str]
    aliases: Mapping[str, str]
    programs: frozenset[str]


def superseded(shop: Shop) -> bool:
    """Approve a third version as soon as the second one gets traffic."""
    if (EventKind.ROLLOUT_STEP, "done") not in shop.rollout("2"):
        return False
    shop.approve("3")
    return True


PROMOTION = Way("promotion", BAKED, lambda shop: shop.approve("2"))
VERDICT = Way("verdict", ROLLOUT, lambda shop: shop.approve("2", failing=True))
SUPERSESSION = Way("supersession", ROLLOUT, lambda shop: shop.approve("2"), "3", superseded)
WAYS = (PROMOTION, VERDICT, SUPERSESSION)


def run(
    settings: Settings,
    folder: Path,
    *,
    ways: tuple[Way, ...] = WAYS,
    every: int = 1,
    headers: Mapping[str, str] | None = None,
) -> Report:
    """Run each way straight and then with deaths.

    Args:
        settings: Of a running stack.
        folder: For registries; empty.
        ways: Which.
        every: Dies at every n-th point only.
        headers: What clients show at the door.
    """
    report = Report("transitions", 0)
    for way in ways:
        with live(settings, folder, way, report, headers=headers) as shop:
            straight = played(shop, way, [])
            points = points_of(_deaths(shop) / EFFECTS)[::every]
        left, tries = points, 0
        while left and tries < TRIES:
            tries += 1
            with live(settings, folder, way, report, headers=headers) as shop:
                killed = played(shop, way, left)
                left = (_deaths(shop) / POINTS).read_text().splitlines()
            report.expect(killed == straight, f"{way.name} ended as {killed}, and straight as {straight}")
        report.wanted += len(points)
        report.done += len(points) - len(left)
        report.figures[way.name] = {"points": points, "missed": left, "runs": tries}
    return report


@contextmanager
def live(
    settings: Settings, folder: Path, way: Way, report: Report, *, headers: Mapping[str, str] | None = None
) -> Iterator[Shop]:
    """Yield a use case whose version 1 is live and asked all the time."""
    folder.mkdir(exist_ok=True)
    name = f"{way.name}-{uuid.uuid4().hex[:8]}"
    shop = open_shop(settings, name, folder / name)
    shop.way, shop.deaths = way.spec, shop.registry / "deaths"
    shop.deaths.mkdir()
    try:
        shop.approve("1")
        _clear(shop, [])
        if shop.controller().wait(SECONDS) != 0:
            raise RuntimeError((shop.registry / "controller.log").read_text()[-2000:])
        url = endpoints(settings).gateway_url
        with Load(url, f"/{name}/invocations", headers or {}, echoed=False) as clients:
            yield shop
        _expect_answers(report, clients.answers, settings)
    finally:
        shop.close()


def _expect_answers(report: Report, answers: Answers, settings: Settings) -> None:
    report.expect_all_answered(answers, settings.root / "logs" / "gateway.jsonl")


def played(shop: Shop, way: Way, points: list[str]) -> End:
    """Run controllers, one after the other, until the last one has ended by itself and nothing is left to do."""
    _clear(shop, points)
    way.begin(shop)
    pending = way.meanwhile
    while True:
        process = shop.controller()
        try:
            while process.poll() is None:
                pending = (lambda shop: True) if pending(shop) else pending
                time.sleep(0.02)
        finally:
            process.kill()
            process.wait()
        if process.returncode >= 0 and pending(shop) and _is_over(shop, way.newest):
            return _end(shop)


def _is_over(shop: Shop, version: str) -> bool:
    """Say whether a version's rollout has ended, its bake included."""
    ends = {EventKind.ROLLOUT_ROLLED_BACK, EventKind.ROLLOUT_BAKED}
    if shop.way["bake"] == NO_BAKE:
        ends.add(EventKind.ROLLOUT_PROMOTED)
    return any(kind in ends and state == "done" for kind, state in shop.rollout(version)[-1:])


def _end(shop: Shop) -> End:
    events = tuple((version, *shop.rollout(version)) for version in sorted(shop.read("stages")))
    programs = frozenset(name.replace(shop.name, "") for name in shop.programs())
    return End(events, shop.read("stages"), shop.read("aliases"), programs)


def _clear(shop: Shop, points: list[str]) -> None:
    folder = _deaths(shop)
    (folder / EFFECTS).write_text("")
    (folder / POINTS).write_text("".join(f"{point}\n" for point in points))


def _deaths(shop: Shop) -> Path:
    if shop.deaths is None:
        raise ValueError("the use case has no folder for deaths")
    return shop.deaths
