"""What clients notice of a doorman that dies: they wait."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deploy.gateway.traffic import Split
from flywheel.stack.probes import request
from tests.deploy.gateway.house import TOKEN, House, house, until, write_token


def test_nobody_is_turned_away_while_the_doorman_is_killed_and_started_again(tmp_path: Path) -> None:
    write_token(tmp_path)
    bearer = f"Bearer {TOKEN}"
    with house(tmp_path, "gateway:\n  auth: token\n") as home, ThreadPoolExecutor(20) as clients:
        home.route(Split(home.version("1")))
        until(lambda: home.ask(authorization=bearer)[0] == 200)
        doorman = home.processes[0]
        doorman.kill()
        doorman.wait()
        waiting = [clients.submit(home.ask, authorization=bearer) for _ in range(20)]
        until(lambda: retries(home) >= len(waiting))
        assert not any(one.done() for one in waiting)
        home.run([sys.executable, "-m", "deploy.doorman", "--home", str(tmp_path)])
        assert [one.result()[0] for one in waiting] == [200] * len(waiting)


def retries(home: House) -> int:
    """Count how often the gateway has asked a doorman again."""
    url = f"http://127.0.0.1:{home.ports.envoy_admin}/stats?filter=doorman.upstream_rq_retry$&format=json"
    return sum(int(one["value"]) for one in json.loads(request("GET", url)[1])["stats"] if "value" in one)
