"""A change of the losses as a finding: worse is a warning, better is news; old ones have been told."""

from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from flywheel.alerts import Severity
from monitoring.concept.days import Days, judge_days
from monitoring.look.findings import of_concept
from monitoring.rows.question import Asked

FIRST, NOW = date(2013, 1, 1), datetime(2013, 5, 20)
ASKED = Asked(Path("/use/usecase.yaml"), NOW)


def changed(rise: float, *, tested: int = 60) -> Days:
    """Judge days of which the last twenty have another loss, the first ones being of test rows."""
    means = np.random.default_rng(4).normal(0.5, 0.03, 144)
    means[124:] += rise
    days = [FIRST + timedelta(days=number) for number in range(len(means))]
    daily = pl.DataFrame({"day": days, "rows": [50] * len(means), "total": 50 * means})
    return judge_days(daily.tail(len(means) - tested), "log-loss", 0.2, tested=daily.head(tested))


@pytest.mark.parametrize(("rise", "severity"), [(0.2, Severity.WARNING), (-0.2, Severity.INFO)])
def test_worse_is_a_warning_and_better_is_news(rise: float, severity: Severity) -> None:
    (found,) = of_concept(changed(rise), NOW, ASKED, "Harm may start one.")
    assert found.severity is severity
    assert found.certainty.endswith("The first 60 days are those of its test rows.")
    assert found.look_at.startswith("flywheel rows /use/usecase.yaml --start 2013-05-")
    assert found.look_at.endswith("--end 2013-05-20 --by loss")
    assert (found.next == "Harm may start one.") == (rise > 0)


def test_a_change_of_weeks_ago_has_been_told_and_steady_losses_tell_nothing() -> None:
    assert list(of_concept(changed(0.2), NOW + timedelta(days=30), ASKED, "")) == []
    assert list(of_concept(changed(0.0), NOW, ASKED, "")) == []
