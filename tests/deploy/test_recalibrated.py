"""The whole way of a shift on a running stack: answers, outcomes, a look, a signed file, and moved answers."""

import json
import math
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from flywheel import events
from flywheel.connections import endpoints
from flywheel.events import EventKind
from flywheel.package import INSIDE
from flywheel.recalibration import moved, path_of
from flywheel.settings import Settings
from flywheel.storage import PredictionLog
from flywheel.usecase import load_usecase
from monitoring.look.look import look
from monitoring.retraining.level import Learned
from monitoring.windows.window import Span, read_window
from tests.chaos.world import deploy, real_package
from tests.deploy.conftest import row, wait_for
from tests.deploy.shop import Shop, open_shop
from tests.monitoring.flights_package import USE_CASE

BEGIN, DAY = datetime(2013, 1, 1), timedelta(days=1)
PER_DAY, SAID, TRUE = 40, 0.3, 0.5
MONITOR = {"min_outcomes": 100, "recalibrate": {"most": 1.0}}


def package(folder: Path, document: Mapping[str, Any]) -> Path:
    """Write a real package that allows a shift, with a sample of rows that the tiny model could have been tested on."""
    real_package(folder, {**document, "monitor": MONITOR})
    times = [BEGIN - DAY * (one / PER_DAY) for one in range(300)]
    label = [float(one % 10 < 10 * SAID) for one in range(300)]
    columns = {"chance": SAID, "count": 3, "gap": 1.5, "mood": "calm", "prediction": SAID}
    sample = pl.DataFrame({"at": times, "label": label}).with_columns(pl.lit(v).alias(k) for k, v in columns.items())
    sample.write_parquet(folder / INSIDE / "reference.parquet")
    return folder


@pytest.fixture
def shop(stack: Settings, tmp_path: Path) -> Iterator[Shop]:
    made = open_shop(stack, f"moved-{uuid.uuid4().hex[:8]}", tmp_path / "registry")
    made.real, made.write = True, package
    yield made
    made.close()


def post(shop: Shop, path: str, body: Any) -> Any:
    url, headers = f"{endpoints(shop.settings).gateway_url}/{shop.name}/{path}", {"content-type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310  # our own gateway
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        return json.loads(response.read())


def live(shop: Shop, file: Path, first: int, days: int) -> None:
    """Ask about days of events, and tell a day later what became true."""
    for day in range(first, first + days):
        times = [BEGIN + DAY * (day + number / PER_DAY) for number in range(PER_DAY)]
        names = [f"{day}-{number}" for number in range(PER_DAY)]
        told = zip(names, times, strict=True)
        post(shop, "invocations", {"instances": [row(chance=SAID, at=at.isoformat(), key=key) for key, at in told]})
        outcomes = [
            {
                "entity": key,
                "outcome": float(number < TRUE * PER_DAY),
                "event_time": at.isoformat(),
                "time_known": (at + DAY).isoformat(),
            }
            for number, (key, at) in enumerate(zip(names, times, strict=True))
        ]
        post(shop, "feedback", {"outcomes": outcomes})
    log, use_case, end = PredictionLog(shop.settings.root / "log"), load_usecase(file), BEGIN + DAY * (first + days)
    span = Span(BEGIN, end, end + DAY)
    wait_for(
        lambda: read_window(log, use_case, span).counts.labelled == PER_DAY * (first + days), "the log of all days"
    )


def looked(shop: Shop, file: Path, day: int) -> Learned:
    """Look as of the end of a day."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("monitoring.reports.process.sys.executable", "/bin/false")  # nothing here depends on reports
        found = look(
            shop.settings,
            file,
            since=None,
            as_of=BEGIN + day * DAY,
            start_training=False,
            tell=lambda span, result: None,
        )
    assert "The recalibration" not in dict(found.failures)
    (one,) = found.recalibrated
    return one


def served(shop: Shop) -> float:
    (answer,) = post(shop, "invocations", {"instances": [row(chance=SAID, at="2014-01-01T00:00:00")]})["predictions"]
    return float(answer["probability"])


def test_what_became_true_moves_the_next_answers_and_not_the_next_shift(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "usecase.yaml"
    file.write_text(yaml.safe_dump({**USE_CASE, "name": shop.name}))  # the package's own allows it, not this one
    shop.approve("1")
    deploy(shop)
    agent = f"agent-{shop.name}-v1"
    pid = shop.pids()[agent]
    live(shop, file, 0, 8)
    first = looked(shop, file, 9)
    assert first.is_renewed
    assert first.shift > 0.1
    expected = moved(SAID, math.exp(-first.shift))
    wait_for(lambda: served(shop) == expected, "a moved answer", 10)
    assert shop.pids()[agent] == pid

    path = path_of(shop.settings.root, shop.name, "1")
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    wait_for(lambda: b"a recalibration is refused" in _log(shop), "a refusal", 10)
    assert served(shop) == expected
    path.write_bytes(whole)

    live(shop, file, 8, 1)
    log = PredictionLog(shop.settings.root / "log").predictions(shop.name, BEGIN + 8 * DAY, BEGIN + 9 * DAY)
    assert log["shift"].to_list() == [first.shift] * PER_DAY
    second = looked(shop, file, 10)
    assert second.before == first.shift != second.shift
    assert second.shift == pytest.approx(first.shift, abs=0.03)  # learned from what the model said, a day more of it
    assert looked(shop, file, 10).shift == second.shift
    with shop.engine.connect() as connection:
        told = [one for one in events.read(connection, subject=f"{shop.name}/1") if one.kind.startswith("monitor.")]
    assert [one.kind for one in told] == [EventKind.MONITOR_RECALIBRATED] * 2  # the third look had nothing to say
    assert told[1].body == second.body()
    assert shop.pids()[agent] == pid


def _log(shop: Shop) -> bytes:
    return (shop.settings.root / "logs" / f"agent-{shop.name}-v1.log").read_bytes()
