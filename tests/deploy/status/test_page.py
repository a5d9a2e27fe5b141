"""An agent's page as values: what is added, subtracted, and read off a histogram."""

import math
import random

import pytest

from deploy.agent.telemetry.metrics import SECONDS, Metrics
from deploy.status.page import Page, Traffic, read_page, read_values


def page_of(metrics: Metrics) -> Page:
    return read_page(metrics.page().decode())


def test_a_page_tells_requests_and_errors_by_arm_over_all_protocols_and_leaves_feedback_out() -> None:
    metrics = Metrics("flights", "3")
    metrics.watch_ready(lambda: True)
    metrics.waiting(7)
    for protocol, arm, status in (
        ("mlflow", "champion", 200),
        ("v2", "champion", 503),
        ("v2-grpc", "champion", 422),
        ("feedback", "champion", 200),
        ("v2", "shadow", 200),
        ("v2", None, 200),
    ):
        metrics.answered(protocol, arm, status, 0.004)
    page = page_of(metrics)
    assert (page.ready, page.queue_rows) == (True, 7)
    assert page.started > 1.7e9
    assert {arm: (one.requests, one.errors) for arm, one in page.arms.items()} == {
        "champion": (3, 1),
        "shadow": (1, 0),
        "none": (1, 0),
    }
    assert page.arms["champion"].within[math.inf] == 3


@pytest.mark.parametrize("text", ["", "<html>no</html>", "# TYPE up gauge\nup 1\n", 'broken{ "'])
def test_what_is_no_agents_page_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"none of an agent|invalid metric name|could not convert"):
        read_page(text)


def test_quantiles_lie_in_the_bucket_of_the_exact_one_and_beyond_the_last_bound_are_told_as_it() -> None:
    metrics, drawn = Metrics("flights", "3"), sorted(random.Random(4).lognormvariate(-5, 1) for _ in range(2000))  # noqa: S311
    for seconds in drawn:
        metrics.answered("mlflow", "champion", 200, seconds)
    metrics.watch_ready(lambda: True)
    champion = page_of(metrics).arms["champion"]
    for share in (0.5, 0.9, 0.99):
        exact, told = drawn[int(share * 2000) - 1], champion.quantile(share)
        assert told is not None
        upper = next(bound for bound in SECONDS if exact <= bound)
        lower = max((bound for bound in SECONDS if bound < upper), default=0.0)
        assert lower <= told <= upper
    assert Traffic(within={1.0: 0, 10.0: 0, math.inf: 4}).quantile(0.5) == 10.0
    assert Traffic(within={1.0: 0, math.inf: 0}).quantile(0.5) is None
    assert Traffic().quantile(0.5) is None


def test_what_came_since_an_earlier_page_is_told_and_a_restarted_agents_from_its_start() -> None:
    former = Page(5.0, True, 0, {"champion": Traffic(10, 2, {1.0: 8, math.inf: 10})})
    now = Page(5.0, True, 0, {"champion": Traffic(16, 3, {1.0: 13, math.inf: 16}), "shadow": Traffic(1)})
    assert now.since(former) == {"champion": Traffic(6, 1, {1.0: 5, math.inf: 6}), "shadow": Traffic(1)}
    assert Page(9.0, True, 0, now.arms).since(former) == now.arms
    assert now.since(None) == now.arms


def test_values_of_a_series_are_told_by_label() -> None:
    text = '# TYPE flywheel_log_lag_seconds gauge\nflywheel_log_lag_seconds{use_case="a"} 3.5\nother{use_case="a"} 1\n'
    assert read_values(text, "flywheel_log_lag_seconds", "use_case") == {"a": 3.5}
