"""The picture is drawn with and without intervals, outcomes and plain estimates."""

from datetime import datetime

from monitoring.performance.estimate_plot import Point, draw_estimates

PNG = b"\x89PNG"


def test_windows_with_everything_and_with_as_little_as_there_may_be_are_drawn() -> None:
    points = [
        Point(datetime(2013, 4, 1), 0.70, None, None, 0.65),
        Point(datetime(2013, 5, 1), 0.66, 0.6, 0.72, 0.68, plain=0.7),
        Point(datetime(2013, 6, 1), 0.67, 0.6, 0.74, None),
    ]
    whole = draw_estimates(points, "ROC AUC", "flights", 0.7)
    assert whole.startswith(PNG)
    assert draw_estimates(points[:1], "ROC AUC", "flights", 0.7).startswith(PNG)
    assert whole != draw_estimates(points[:2], "ROC AUC", "flights", 0.7)
