"""The picture of a decision can be drawn for every verdict."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from flywheel.profile import Reference
from flywheel.statistics import row_losses
from monitoring.performance.harm import Tolerance, against_reference, decide
from monitoring.performance.measure import LOG_LOSS, SQUARED_ERROR, Measure
from monitoring.reports.plot import draw, loss_by_day

REFERENCE = Reference(loss=0.6, standard_error=0.01, rows=1000, roc_auc=0.7)


def judged(days: int) -> pl.DataFrame:
    times = [datetime(2013, 4, 1) + timedelta(hours=6 * step) for step in range(4 * days)]
    outcomes = [float(step % 3 == 0) for step in range(4 * days)]
    losses = row_losses("binary", np.array(outcomes), np.full(4 * days, 0.4))
    frame = {"event_time": times, "model_version": "1", "prediction": 0.4, "outcome": outcomes, "loss": losses}
    return against_reference(pl.DataFrame(frame), {"1": REFERENCE})


@pytest.mark.parametrize(("days", "margin"), [(30, 0.02), (30, -1.0), (1, 0.02)])
@pytest.mark.parametrize("measure", [LOG_LOSS, SQUARED_ERROR])
def test_a_png_is_drawn_whatever_the_verdict(days: int, margin: float, measure: Measure) -> None:
    rows = judged(days)
    references = {"1": REFERENCE.model_copy(update={"loss_name": measure.name})}
    image = draw(rows, decide(rows, references, Tolerance(margin, 10, measure)), "flights, April", measure)
    assert image.startswith(b"\x89PNG")
    assert loss_by_day(rows)["rows"].to_list() == [4] * days
