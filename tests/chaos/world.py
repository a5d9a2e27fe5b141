"""The world that is broken: a real stack, a use case with real workers and agents, and clients that ask."""

import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from flywheel.connections import endpoints
from flywheel.package import INSIDE
from flywheel.records import Accounts, account
from flywheel.settings import Settings
from flywheel.stack.down import end_stack, erase
from flywheel.stack.up import bring_up
from flywheel.storage import PredictionLog
from tests.chaos.load import Answers, Load
from tests.deploy.conftest import ENVIRONMENT, ROOT
from tests.deploy.shop import REFERENCE, Shop, open_shop
from tests.deploy.tiny_contract import CONTRACT
from tests.monitoring.flights_package import write_model

SETTLE_SECONDS = 260.0


def real_package(folder: Path, document: Mapping[str, Any]) -> Path:
    """Write a package that MLflow serves, with all that deploy reads."""
    maker = ROOT / "tests" / "deploy" / "tiny_package.py"
    folder.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(maker), str(folder)]
    subprocess.run(command, check=True, env=ENVIRONMENT, cwd=folder.parent, capture_output=True)
    with tempfile.TemporaryDirectory() as temporary:
        described = write_model(Path(temporary) / "model", REFERENCE, document, CONTRACT)
        for path in (described / INSIDE).iterdir():
            shutil.copy(path, folder / INSIDE / path.name)
    return folder


@contextmanager
def world(home: Path, serving: Mapping[str, Any], *, real: bool = True, keep: bool = False) -> Iterator[Shop]:
    """Yield a use case whose version 1 is live on a stack of its own, which then goes; `keep` leaves its files."""
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o755)
    settings = Settings(home=home)
    (home / "serving.yaml").write_text(yaml.safe_dump({"defaults": dict(serving)}))
    try:
        bring_up(settings, lambda line: None)
        shop = open_shop(settings, f"chaos-{uuid.uuid4().hex[:8]}", home / "registry")
        shop.real = real
        if real:
            shop.write = real_package
        shop.approve("1")
        deploy(shop)
        yield shop
    finally:
        end_stack(settings, patience=5)
        if not keep:
            erase(settings)


def deploy(shop: Shop) -> None:
    """Run a controller until all is settled.

    Raises:
        RuntimeError: It did not end well; its log follows.
    """
    code = shop.controller().wait(SETTLE_SECONDS)
    if code != 0:
        raise RuntimeError(
            f"the controller ended with {code}: {(shop.registry / 'controller.log').read_text()[-2000:]}"
        )


def load(shop: Shop, clients: int = 4) -> Load:
    """Return clients of the use case; a context."""
    return Load(endpoints(shop.settings).gateway_url, f"/{shop.name}/invocations", clients)


def settled_accounts(shop: Shop, answers: Answers) -> Accounts:
    """Hold the log against the answers, once the shipper has had its time."""
    log, until = PredictionLog(shop.settings.root / "log"), time.monotonic() + SETTLE_SECONDS
    while True:
        asked = list(answers.statuses)  # parts share one log: each accounts for its own requests
        mine = pl.col("request_id").is_in(asked)
        found = account(log.predictions(shop.name).filter(mine), log.requests(shop.name).filter(mine))
        whole = found.answered_requests == len(answers.answered) and not found.records_missing
        if whole or time.monotonic() > until:
            return found
        time.sleep(0.5)
