"""The world that is broken: a real stack, a use case with real workers and agents, and clients that ask."""

import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from deploy.log.shipper import Shipper
from flywheel.connections import endpoints
from flywheel.errors import StackError
from flywheel.package import INSIDE
from flywheel.records import Accounts, account
from flywheel.settings import Settings
from flywheel.stack.down import end_stack, erase
from flywheel.stack.up import bring_up
from flywheel.storage import PredictionLog
from registry.access.tokens import issue
from registry.doors.census import Area
from tests.chaos.load import Answers, Load, chance_of
from tests.deploy.conftest import ENVIRONMENT, ROOT
from tests.deploy.shop import REFERENCE, Shop, open_shop
from tests.deploy.tiny_contract import CONTRACT
from tests.monitoring.flights_package import write_model

SETTLE_SECONDS = 260.0
# Clients show a token, so that the doorman has its part in each request.
GATEWAY = {"auth": "token"}


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
    (home / "serving.yaml").write_text(yaml.safe_dump({"defaults": dict(serving), "gateway": GATEWAY}))
    try:
        bring_up(settings, lambda line: None)
        shop = open_shop(settings, f"chaos-{uuid.uuid4().hex[:8]}", home / "registry")
        shop.real = real
        shop.headers = {"authorization": f"Bearer {token(shop)}"}
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


def token(shop: Shop) -> str:
    """Issue a service token that may predict."""
    scopes, now = [Area.PREDICT], datetime.now(UTC)
    with shop.engine.begin() as connection:
        return issue(connection, "grace", user="svc-chaos", name=shop.name, scopes=scopes, days=1, now=now)[1]


def load(shop: Shop) -> Load:
    """Return clients of the use case; a context."""
    url = endpoints(shop.settings).gateway_url
    return Load(url, f"/{shop.name}/invocations", shop.headers, echoed=shop.real)


def settled_accounts(shop: Shop, answers: Answers) -> tuple[Accounts, int]:
    """Hold the log against the answers, once the shipper has shipped all there is or has had its time.

    Returns:
        The accounts, and how many records hold what another request asked or was answered.
    """
    log, until = PredictionLog(shop.settings.root / "log"), time.monotonic() + SETTLE_SECONDS
    while True:
        shipped = _all_is_shipped(shop.settings.root)
        mine = pl.col("request_id").is_in(list(answers.statuses))  # parts share one log: each accounts for its own
        records = log.predictions(shop.name).filter(mine)
        found = account(records, log.requests(shop.name).filter(mine))
        whole = found.answered_requests == len(answers.answered) and not found.records_missing
        if (shipped and whole) or time.monotonic() > until:
            return found, strange(records)
        time.sleep(0.5)


def strange(records: pl.DataFrame) -> int:
    """Count scored records whose input or output is not that of their request."""
    scored = records.filter(pl.col("status") == "scored")
    told = zip(scored["request_id"], scored["inputs"], scored["outputs"], strict=True)
    return sum({asked["chance"], said["probability"]} != {chance_of(name)} for name, asked, said in told)


def _all_is_shipped(home: Path) -> bool:
    try:
        return not Shipper(home).unshipped()
    except (StackError, OSError):  # a file has just gone
        return False
