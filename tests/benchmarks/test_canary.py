"""The canary benchmark: rates are counted right, and what was not measured meets no goal."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from benchmarks import canary
from benchmarks.canary_ours import flywheel, judge_milliseconds, roll_out
from benchmarks.canary_rates import FLYWHEEL, RULES, Rate, Table, median_minutes, play
from benchmarks.canary_worlds import SHARE, World, cells, draw
from deploy.verdict import Call, Look, Plan, replay
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
}

OF_PAIRS = {"paired_loss_requests", "paired_shadow_request_ratio", "known_misses_right"}


def named(goals: list[Goal]) -> dict[str, Goal]:
    return {one.name: one for one in goals}


def test_intervals_are_those_of_clopper_and_pearson() -> None:
    assert Rate(0, 60).interval(0.95) == pytest.approx((0, 1 - 0.025 ** (1 / 60)))
    assert Rate(60, 60).interval(0.95) == pytest.approx((0.025 ** (1 / 60), 1))
    low, high = Rate(5, 60).interval(0.95)
    assert binom.sf(4, 60, low) == pytest.approx(0.025)
    assert binom.cdf(5, 60, high) == pytest.approx(0.025)


def test_flywheel_stops_where_a_replay_of_the_same_looks_stops() -> None:
    streams = draw(World(20, 0.01, 3.0), 30, np.random.default_rng(4))
    outcome, plan = flywheel(streams, 0.01), Plan(steps=(round(SHARE * 100),))
    parts = (streams.canary_requests, streams.canary_errors, streams.baseline_requests, streams.baseline_errors)
    for run, back in enumerate(outcome.rolled_back):
        looks = [Look(*(int(part[run, look]) for part in parts)) for look in range(50)]
        until = looks[: int(back)] if back else looks
        before, last = replay(plan, [until[:-1]])[1], replay(plan, [until])[1]
        assert last is not None
        assert (last.call is Call.ROLL_BACK) == bool(back)
        assert before is None or before.call is not Call.ROLL_BACK


def test_a_healthy_rollout_is_promoted_and_a_terrible_one_is_not() -> None:
    random = np.random.default_rng(6)
    healthy = [roll_out(1.0, random) for _ in range(5)]
    assert all(rollout.call is Call.PROMOTE for rollout in healthy)
    assert 0 < median_minutes(healthy) < 30
    terrible = roll_out(20.0, random)
    assert terrible.call is Call.ROLL_BACK
    assert terrible.retried
    assert math.isinf(median_minutes([terrible]))


def test_what_was_not_played_and_what_cannot_be_yet_misses_its_goal() -> None:
    goals = named(canary.measured_goals(Table()) + canary.missing_goals())
    assert set(goals) == NAMES - OF_PAIRS
    assert all(math.isnan(one.value) and not one.met for one in goals.values())


def test_the_worst_rate_of_false_rollbacks_needs_every_cell_that_claims_validity() -> None:
    table = Table()
    valid = [world for world in cells() if world.healthy and world.valid_per_request]
    for world in valid[:-1]:
        play(table, world, 20)
    assert math.isnan(canary.worst_false_rollbacks(table))
    play(table, valid[-1], 20)
    worst = max(table.cells[world, FLYWHEEL].rolled_back.interval(0.99)[0] for world in valid)
    assert canary.worst_false_rollbacks(table) == worst


def test_a_cell_has_the_same_figures_whatever_else_is_played() -> None:
    alone, after = Table(), Table()
    play(alone, World(20, 0.01), 30)
    play(after, World(100, 0.01), 30)
    play(after, World(20, 0.01), 30)
    assert all(alone.cells[World(20, 0.01), rule] == after.cells[World(20, 0.01), rule] for rule in RULES)


def test_a_call_of_the_judge_is_timed() -> None:
    taken = judge_milliseconds(World(20, 0.01), rollouts=1)
    assert 0 < taken["median"] <= taken["p99"] <= taken["longest"]


def test_a_quick_run_of_two_cells_writes_goals_and_plot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    healthy, harmed = World(20, 0.01), World(20, 0.01, 3.0)
    figures, plot = tmp_path / "canary.json", tmp_path / "canary.png"
    chosen = ["--only", healthy.name, "--only", harmed.name]
    monkeypatch.setattr(sys, "argv", ["canary", "--quick", *chosen, "--json", str(figures), "--plot", str(plot)])
    canary.main()
    written = json.loads(figures.read_text())
    goals = {one["name"]: one for one in written["goals"]}
    assert set(goals) == NAMES
    assert 0.9 < goals["power_1_to_3_at_20"]["value"] <= 1
    assert all(goals[name]["met"] for name in OF_PAIRS)
    unmeasured = [one for name, one in goals.items() if name not in {"power_1_to_3_at_20", *OF_PAIRS}]
    assert all(one["value"] is None and one["met"] is False for one in unmeasured)
    rows = {(row["cell"], row.get("rule")): row for row in written["rows"]}
    assert {rule for cell, rule in rows if cell == healthy.name} == set(RULES)
    assert all(rows[harmed.name, rule]["runs"] == canary.QUICK_RUNS for rule in RULES)
    assert rows[healthy.name, FLYWHEEL]["low_95"] <= rows[healthy.name, FLYWHEEL]["rolled_back"]
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert "not measured" in capsys.readouterr().out
