"""The canary benchmark: rates are counted right, and what was not measured meets no goal."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from benchmarks import canary
from benchmarks.canary_ours import (
    error_looks,
    flywheel,
    flywheel_errors_alone,
    judge_milliseconds,
    latency_look,
    loss_look,
    plan_of,
)
from benchmarks.canary_rates import ERRORS_ALONE, FLYWHEEL, RULES, Rate, Table, median_minutes, play
from benchmarks.canary_rollouts import roll_out
from benchmarks.canary_stops import play_stops
from benchmarks.canary_units import name_of, play_units, worlds
from benchmarks.canary_watch import watch
from benchmarks.canary_worlds import LOOKS, SHARE, Disturbance, World, cells, draw
from deploy.verdict.calls import Call
from deploy.verdict.several import StepLook, judge_metrics
from flywheel.goals import Goal

NAMES = {
    "worst_false_rollback_rate",
    "worst_false_rollback_rate_units",
    "power_1_to_2_at_20",
    "power_1_to_2_at_20_errors_only",
    "power_1_to_3_at_20",
    "power_1_to_2_at_100",
    "double_harm_promoted_rate",
    "healthy_promoted_rate",
    "healthy_promotion_minutes",
    "paired_loss_requests",
    "paired_shadow_request_ratio",
    "known_misses_right",
    "verdict_ms_per_metric_and_look",
}

OF_PAIRS = {"paired_loss_requests", "paired_shadow_request_ratio", "known_misses_right"}
ELSEWHERE = OF_PAIRS | {"verdict_ms_per_metric_and_look"}
NEVER = np.zeros(30, dtype=np.int64)


def named(goals: list[Goal]) -> dict[str, Goal]:
    return {one.name: one for one in goals}


def test_intervals_are_those_of_clopper_and_pearson() -> None:
    assert Rate(0, 60).interval(0.95) == pytest.approx((0, 1 - 0.025 ** (1 / 60)))
    assert Rate(60, 60).interval(0.95) == pytest.approx((0.025 ** (1 / 60), 1))
    low, high = Rate(5, 60).interval(0.95)
    assert binom.sf(4, 60, low) == pytest.approx(0.025)
    assert binom.cdf(5, 60, high) == pytest.approx(0.025)


def test_a_run_ends_where_the_engine_ends_on_the_same_looks() -> None:
    streams, random = draw(World(20, 0.01, 3.0), 30, np.random.default_rng(4)), np.random.default_rng(5)
    alone, together = flywheel_errors_alone(streams), flywheel(streams, NEVER)
    for run, looks in enumerate(error_looks(streams)):
        for outcome, guards in ((alone, "errors"), (together, "all")):
            others = {"latency": latency_look(SHARE, 200, random), "loss": loss_look(SHARE, 200, random)}
            seen = [
                StepLook(0, {"errors": look, **(others if guards == "all" and number == 0 else {})})
                for number, look in enumerate(looks)
            ]
            judged = judge_metrics(plan_of(200 * LOOKS, guards).build(), seen)
            back = int(outcome.rolled_back[run])
            assert (judged.call is Call.ROLL_BACK) == bool(back)
            assert judged.look == (back or LOOKS)
            promoted = int(outcome.promoted[run])
            if promoted:
                until = judge_metrics(plan_of(200 * LOOKS, guards).build(), seen[:promoted])
                assert until.call is Call.PROMOTE


def test_another_guard_that_is_wrong_ends_a_run_first() -> None:
    streams = draw(World(20, 0.01, 3.0), 30, np.random.default_rng(4))
    found = flywheel(streams, np.full(30, 2))
    assert set(found.rolled_back) <= {1, 2}
    assert (flywheel(streams, NEVER).rolled_back >= found.rolled_back).mean() > 0.9


def test_a_healthy_rollout_is_promoted_and_a_terrible_one_is_not() -> None:
    random = np.random.default_rng(6)
    healthy = [roll_out(1.0, random) for _ in range(5)]
    assert all(rollout.call is Call.PROMOTE for rollout in healthy)
    assert 0 < median_minutes(healthy) < 30
    terrible = roll_out(20.0, random)
    assert terrible.call is Call.ROLL_BACK
    assert terrible.retried
    assert math.isinf(median_minutes([terrible]))


def test_what_was_not_played_misses_its_goal() -> None:
    goals = named(canary.measured_goals(Table()))
    assert set(goals) == NAMES - ELSEWHERE
    assert all(math.isnan(one.value) and not one.met for one in goals.values())


def test_the_worst_rate_of_false_rollbacks_needs_every_cell_that_claims_validity() -> None:
    table = Table()
    valid = [world for world in cells() if world.healthy and world.valid_per_request]
    played = {world: play(world, 20, NEVER) for world in valid}
    table.cells = {(world, rule): one for world in valid[:-1] for rule, one in played[world].items()}
    assert math.isnan(canary.worst_false_rollbacks(table))
    table.cells |= {(valid[-1], rule): one for rule, one in played[valid[-1]].items()}
    worst = max(
        table.cells[world, rule].rolled_back.interval(0.99)[0]
        for world in valid
        for rule in (FLYWHEEL, ERRORS_ALONE)
        if (world, rule) in table.cells
    )
    assert canary.worst_false_rollbacks(table) == worst


def test_unit_mode_has_a_goal_once_all_of_its_worlds_were_played_and_a_bad_pod_is_warned_of() -> None:
    rows = [play_units(world, 10) for world in worlds() if world.healthy]
    assert math.isnan(canary.worst_false_rollbacks_of_units(Table(others=rows[1:])))
    assert canary.worst_false_rollbacks_of_units(Table(others=rows)) == max(
        row["low_99"] for row in rows if "outages" in row["cell"] or "users" in row["cell"]
    )
    bad_pod = [row for row in rows if Disturbance.BAD_POD in row["cell"]]
    assert all("not told from a bad version" in row["warned"][0] and not row["claims_validity"] for row in bad_pod)


def test_units_are_the_ones_that_the_world_has() -> None:
    outages = World(100, 0.01, 3.0, Disturbance.OUTAGES)
    users = World(100, 0.01, 3.0, Disturbance.USERS_5)
    assert play_units(outages, 10)["rolled_back"] > 0.8
    assert play_units(users, 10)["rolled_back"] > 0.7
    assert (play_units(users, 3)["cell"], play_units(users, 3)["rule"]) == (name_of(users), "Flywheel, users as units")


def test_a_version_that_turned_bad_is_found_the_sooner_the_worse_it_is() -> None:
    twice, five_times = watch("watch, errors x 2", 5), watch("watch, errors x 5", 5)
    assert five_times["median_looks"] < twice["median_looks"] < 1000


def test_processes_that_stop_deceive_a_test_of_requests_and_none_of_blocks() -> None:
    stops = play_stops("stops, 2 s each minute, 500/s, 50 %", 12)
    assert stops["requests_rolled_back"] > 0.2
    assert stops["blocks_rolled_back"] == 0
    assert play_stops("stops, slow x 8 and x 30, 500/s, 50 %", 4)["blocks_rolled_back"] == 1


def test_a_cell_has_the_same_figures_whatever_else_is_played() -> None:
    alone = play(World(20, 0.01), 30, NEVER)
    play(World(100, 0.01), 30, NEVER)
    assert play(World(20, 0.01), 30, NEVER) == alone
    assert set(alone) == set(RULES)


def test_a_look_is_timed_by_metric() -> None:
    for taken in judge_milliseconds(World(20, 0.01), rollouts=1).values():
        assert 0 < taken["median"] <= taken["p99"] <= taken["longest"]


def test_a_quick_run_of_two_cells_writes_goals_and_plot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    healthy, harmed = World(20, 0.01), World(20, 0.01, 3.0)
    figures, plot = tmp_path / "canary.json", tmp_path / "canary.png"
    chosen = ["--only", healthy.name, "--only", harmed.name]
    monkeypatch.setattr(canary, "QUICK_RUNS", 100)
    monkeypatch.setattr(canary, "QUICK_PAIRS", 4)
    monkeypatch.setattr(sys, "argv", ["canary", "--quick", *chosen, "--json", str(figures), "--plot", str(plot)])
    canary.main()
    written = json.loads(figures.read_text())
    goals = {one["name"]: one for one in written["goals"]}
    assert set(goals) == NAMES
    assert 0.9 < goals["power_1_to_3_at_20"]["value"] <= 1
    assert all(goals[name]["met"] for name in OF_PAIRS)
    unmeasured = [one for name, one in goals.items() if name not in {"power_1_to_3_at_20", *ELSEWHERE}]
    assert all(one["value"] is None and one["met"] is False for one in unmeasured)
    rows = {(row["cell"], row.get("rule")): row for row in written["rows"]}
    assert {rule for cell, rule in rows if cell == healthy.name} == set(RULES)
    assert all(rows[harmed.name, rule]["runs"] == canary.QUICK_RUNS for rule in RULES)
    assert rows[healthy.name, FLYWHEEL]["low_95"] <= rows[healthy.name, FLYWHEEL]["rolled_back"]
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert "not measured" in capsys.readouterr().out
