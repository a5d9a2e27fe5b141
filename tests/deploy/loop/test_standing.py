"""What the last tick found, as `flywheel status` reads it."""

import json
from dataclasses import replace
from pathlib import Path

from deploy.loop.progress import Progress
from deploy.loop.rollout import Phase
from deploy.loop.standing import NAME, Standing
from deploy.status.view import rollout_lines

CANARY = Progress("flights", "1", "2", 5, Phase.CANARY, "More evidence is needed.", settled=False, steps=(0, 5, 50))
LIVE = Progress("rain", "7", None, 100, Phase.DONE, "Live.", settled=True)


def test_a_tick_of_one_use_case_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    standing = Standing(tmp_path)
    assert standing.read() == []
    standing.keep([CANARY, LIVE])
    assert standing.read() == [CANARY, LIVE]
    later = replace(CANARY, phase=Phase.HELD, reason="It asks.")
    standing.keep([later])
    assert standing.read() == [later, LIVE]


def test_what_is_damaged_or_of_another_release_is_left_out(tmp_path: Path) -> None:
    standing, path = Standing(tmp_path), tmp_path / "run" / NAME
    standing.keep([CANARY, LIVE])
    found = json.loads(path.read_text())
    found["flights"]["phase"] = "a phase of tomorrow"
    found["rain"]["news"] = 1
    path.write_text(json.dumps(found))
    assert standing.read() == [LIVE]
    path.write_text("{")
    assert standing.read() == []


def test_status_tells_of_rollouts_and_of_what_is_not_simply_live() -> None:
    bad = replace(LIVE, usecase="mail", reason="Version 7 has turned bad.")
    assert rollout_lines([CANARY, LIVE, bad]) == [
        "flights: version 2 canary, 5 % of traffic. More evidence is needed.",
        "mail: version 7 is live. Version 7 has turned bad.",
    ]
