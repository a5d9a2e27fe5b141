"""The declared safe default on a running stack: it answers when the champion is gone, and follows serving.yaml."""

import http.client
import json
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl
import pytest

from flywheel.connections import endpoints
from flywheel.settings import Settings
from flywheel.stack.supervisor import stop_and_remove_program
from flywheel.storage import PredictionLog
from tests.deploy.conftest import wait_for
from tests.deploy.shop import REFERENCE, Shop, open_shop
from tests.monitoring.flights_package import write_model

ROW = {"scheduled": "2013-03-20T13:15:00", "distance": 1400.0}


def with_an_example(folder: Path, document: Mapping[str, Any]) -> Path:
    write_model(folder, REFERENCE, document)
    (folder / "serving_input_example.json").write_text(json.dumps({"dataframe_records": [ROW]}))
    return folder


@pytest.fixture
def shop(stack: Settings, tmp_path: Path) -> Iterator[Shop]:
    made = open_shop(stack, f"default-{uuid.uuid4().hex[:8]}", tmp_path / "registry")
    made.write = with_an_example
    yield made
    made.close()


def ask(url: str, path: str) -> tuple[int, Any, str | None]:
    """Return status, body, and whose stand-in has answered; nothing where nobody listens."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        body = json.dumps({"dataframe_records": [ROW]})
        connection.request("POST", path, body, {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()), answer.headers["x-flywheel-fallback"]
    except ConnectionRefusedError:
        return 0, None, None
    finally:
        connection.close()


def declared(shop: Shop) -> tuple[int, Any, str | None]:
    """Ask the default's agent itself."""
    kept = json.loads((shop.settings.root / "run" / "defaults.json").read_text())[shop.name]
    return ask(f"http://127.0.0.1:{kept['http']}", "/invocations")


def logged(shop: Shop) -> int:
    """Count the records of the default's answers in the prediction log."""
    found = PredictionLog(shop.settings.root / "log").predictions(shop.name, datetime(2013, 1, 1), datetime(2014, 1, 1))
    return found.filter(pl.col("flags").list.contains("fallback"), model_version="default").height


def test_the_declared_default_answers_when_the_champion_is_gone_and_follows_serving_yaml(
    shop: Shop, serving: Path
) -> None:
    def answers(probability: float) -> tuple[int, Any, str]:
        return 200, {"predictions": [{"probability": probability}]}, "default"

    gateway, path, program = endpoints(shop.settings).gateway_url, f"/{shop.name}/invocations", f"agent-{shop.name}-v1"
    serving.write_text("defaults: {fallback: {answer: 0.25}}")
    shop.approve("1")
    assert shop.controller().wait(90) == 0
    assert ask(gateway, path) == (200, {"version": "1"}, None)
    stop_and_remove_program(shop.settings, program)
    wait_for(lambda: ask(gateway, path) == answers(0.25), "an answer of the default")
    wait_for(lambda: logged(shop) > 0, "its record in the log")

    serving.write_text("defaults: {fallback: {answer: 0.75}}")
    assert shop.controller().wait(90) == 0
    wait_for(lambda: ask(gateway, path) == (200, {"version": "1"}, None), "the champion's return")
    wait_for(lambda: declared(shop) == answers(0.75), "the new answer")

    serving.write_text("defaults: {fallback: {answer: late}}")
    assert shop.controller().wait(90) == 1
    log = " ".join((shop.registry / "controller.log").read_text().split())
    assert f"{serving}: fallback.answer: 'late' is no number, and this version answers probability." in log
    assert ask(gateway, path) == (200, {"version": "1"}, None)
    assert declared(shop) == answers(0.75)

    serving.write_text("{}")
    assert shop.controller().wait(90) == 0
    assert f"agent-{shop.name}-vdefault" not in shop.programs()
    stop_and_remove_program(shop.settings, program)
    wait_for(lambda: ask(gateway, path)[0] == 503, "the end of all answers")
