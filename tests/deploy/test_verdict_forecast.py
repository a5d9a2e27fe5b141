import pytest

from deploy.verdict_forecast import Traffic, cautions, forecast
from deploy.verdict_metrics import ErrorsSpec, LatencySpec, MeanSpec, PodsSpec, Thresholds, UsersSpec
from deploy.verdict_plan import PlanSpec, default_metrics

STEPS = (1, 5, 25, 50)
PLAN = PlanSpec(steps=STEPS, metrics=default_metrics(Thresholds(p90=0.1, p99=0.4), (0.0, 1.0)))


def test_a_healthy_version_takes_minutes_at_busy_traffic_and_days_at_one_request_a_second() -> None:
    busy, slow = forecast(PLAN, Traffic(500, 0.005)), forecast(PLAN, Traffic(1, 0.005))
    assert 3 * 60 < busy.seconds < 6 * 60
    assert slow.seconds == pytest.approx(500 * busy.seconds)
    assert sum(step.seconds for step in busy.steps) == pytest.approx(busy.seconds)
    assert busy.smallest_ratio is not None
    assert busy.smallest_rise is not None
    assert 1.2 < busy.smallest_ratio < 2
    assert busy.smallest_rise == pytest.approx((busy.smallest_ratio - 1) * 0.005)
    assert busy.cautions == ()


def test_a_plan_that_ends_too_early_says_so_and_finds_less() -> None:
    whole, cut = forecast(PLAN, Traffic(1, 0.005)), forecast(PLAN, Traffic(1, 0.005, most_seconds=3600))
    assert cut.seconds == whole.seconds
    assert sum(step.seconds for step in cut.steps) == pytest.approx(3600)
    assert (cut.smallest_rise or 1) > 2 * (whole.smallest_rise or 1)
    assert "needs 39.3 hours at 1 requests/s, but the plan allows 1.0 hours" in cut.cautions[0]
    assert "fewer than 10 little but an outage is found; evidence on the ratio of error rates would" in cut.cautions[1]


def test_what_nobody_can_find_is_said() -> None:
    nothing = forecast(PLAN, Traffic(0.001, 0.005, most_seconds=60))
    assert nothing.smallest_rise is None
    assert nothing.smallest_ratio is None
    assert any("No harm to the error rate is found in 80% of rollouts." in said for said in nothing.cautions)
    clean = forecast(PLAN, Traffic(500, 0.0))
    assert clean.smallest_ratio is None
    assert clean.smallest_rise is not None
    assert clean.seconds < forecast(PLAN, Traffic(500, 0.005)).seconds


def test_the_least_that_a_step_takes_is_what_it_takes() -> None:
    least = PlanSpec(steps=(50,), metrics={"it": ErrorsSpec(kind="errors", part=1.0, least_requests=1_000_000)})
    assert forecast(least, Traffic(500, 0.005)).seconds == 4000
    assert forecast(PLAN, Traffic(500, 0.005, least_seconds=600)).seconds == 2400


def test_one_pod_is_warned_of_where_pods_matter() -> None:
    users = PlanSpec(steps=(10,), metrics={"it": UsersSpec(kind="users", part=1.0)})
    pods = PlanSpec(steps=(10,), metrics={"it": PodsSpec(kind="pods", part=1.0)})
    assert "not told from a bad version" in cautions(pods, canary_pods=1)[0]
    assert cautions(pods, canary_pods=2) == cautions(pods) == cautions(users, canary_pods=1) == []
    assert forecast(PLAN, Traffic(500, 0.005, canary_pods=1)).cautions == tuple(cautions(pods, canary_pods=1))


def test_a_plan_or_traffic_without_anything_to_foretell_is_refused() -> None:
    users = PlanSpec(steps=(10,), metrics={"it": UsersSpec(kind="users", part=1.0)})
    with pytest.raises(ValueError, match="no metric of kind errors"):
        forecast(users, Traffic(1, 0.1))
    with pytest.raises(ValueError, match="must be above 0"):
        forecast(PLAN, Traffic(0, 0.1))


def test_the_default_plan_shares_alpha_and_only_errors_open_gates() -> None:
    whole = default_metrics(Thresholds(p90=0.1, p99=0.4), (0.0, 2.0), planned_requests=500)
    errors, latency, loss = whole["errors"], whole["latency"], whole["loss"]
    assert isinstance(errors, ErrorsSpec)
    assert isinstance(latency, LatencySpec)
    assert isinstance(loss, MeanSpec)
    assert [one.part for one in (errors, latency, loss)] == [0.6, 0.3, 0.1]
    assert (errors.opens, loss.opens, errors.planned_requests) == (True, False, 500)
    alone = default_metrics(None, None)["errors"]
    assert isinstance(alone, ErrorsSpec)
    assert alone.part == 1
