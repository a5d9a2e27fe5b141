"""A stack that ended and starts again answers as before, without anybody's `flywheel deploy`."""

import subprocess
import sys
import urllib.request
from pathlib import Path

from flywheel.connections import endpoints
from tests.chaos.world import world
from tests.deploy.conftest import ENVIRONMENT, status_of


def flywheel(home: Path, command: str) -> str:
    """Run a command; return what it said beside its result."""
    words = [str(Path(sys.executable).with_name("flywheel")), command]
    environment = {**ENVIRONMENT, "FLYWHEEL_HOME": str(home)}
    done = subprocess.run(words, env=environment, cwd=home, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_what_was_live_answers_once_up_has_ended(tmp_path: Path) -> None:
    with world(tmp_path / "home", {"replicas": 1, "workers": 1}) as shop:
        home = shop.settings.root
        for ended in (True, False):  # after an end, and over a stack that runs
            if ended:
                flywheel(home, "down")
            assert f"{shop.name} version 1: Live." in flywheel(home, "up")
            url = f"{endpoints(shop.settings).gateway_url}/{shop.name}/ping"
            assert status_of(url) == 401  # who shows no token
            with urllib.request.urlopen(urllib.request.Request(url, headers=shop.headers)) as answer:  # noqa: S310
                assert answer.status == 200
