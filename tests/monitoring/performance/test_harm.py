"""The decision: harm only when the whole interval lies above the margin, each row against its own version."""

import json
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from flywheel.errors import DataError
from flywheel.profile import Reference
from flywheel.statistics import row_losses
from monitoring.performance.harm import Decision, Tolerance, Verdict, against_reference, decide
from monitoring.performance.measure import SQUARED_ERROR
from monitoring.performance.realised import by_day, estimate

START = datetime(2013, 4, 1)
TOLERANCE = Tolerance(margin=0.02, min_outcomes=200)
# The entropy of Bernoulli(.3): the loss of a model that always says the truth, .3.
REFERENCE = Reference(loss=0.6109, standard_error=0.0, rows=10_000, roc_auc=0.5)


def window(
    share: float, *, days: int = 30, rows: int = 40, version: str = "1", day_effect: float = 0.0, seed: int = 7
) -> pl.DataFrame:
    """Rows answered .3 by `version` whose outcomes occur with `share`, moved by a day effect."""
    random = np.random.default_rng(seed)
    shares = np.clip(share + random.normal(0, day_effect, days), 0.01, 0.99)
    outcome = (random.uniform(size=(days, rows)) < shares[:, None]).astype(float).ravel()
    data = {
        "event_time": [START + timedelta(days=day, minutes=row) for day in range(days) for row in range(rows)],
        "model_version": [version] * (days * rows),
        "prediction": [0.3] * (days * rows),
        "outcome": outcome,
        "loss": row_losses("binary", outcome, np.full(days * rows, 0.3)),
    }
    types: dict[str, pl.DataType | type[pl.DataType]] = {
        "event_time": pl.Datetime("us"),
        "model_version": pl.String,
        "prediction": pl.Float64,
    }
    return pl.DataFrame(data, schema_overrides=types)


def judge(frame: pl.DataFrame, references: dict[str, Reference], tolerance: Tolerance = TOLERANCE) -> Decision:
    return decide(against_reference(frame, references), references, tolerance)


def test_a_window_like_the_reference_is_quiet() -> None:
    decision = judge(window(0.3), {"1": REFERENCE})
    assert decision.verdict is Verdict.QUIET
    assert "does not show more than the tolerated +0.0200" in decision.reason


def test_a_window_much_worse_than_the_reference_is_harm_and_says_by_how_much() -> None:
    decision = judge(window(0.5), {"1": REFERENCE})
    assert decision.verdict is Verdict.HARM
    assert decision.numbers.difference_low is not None
    assert decision.numbers.difference_low > TOLERANCE.margin
    assert f"{decision.numbers.difference:+.4f}" in decision.reason
    assert decision.reason.startswith("Log-loss ")
    assert decision.numbers.roc_auc == pytest.approx(0.5)


def test_a_better_window_is_quiet() -> None:
    assert judge(window(0.1), {"1": REFERENCE}).verdict is Verdict.QUIET


def test_harm_within_the_margin_is_tolerated() -> None:
    assert judge(window(0.5), {"1": REFERENCE}, Tolerance(margin=0.5, min_outcomes=200)).verdict is Verdict.QUIET


@pytest.mark.parametrize(("days", "rows"), [(30, 6), (4, 100), (0, 0)])
def test_too_few_outcomes_or_days_decide_nothing_however_bad_they_look(days: int, rows: int) -> None:
    decision = judge(window(0.9, days=days, rows=rows), {"1": REFERENCE})
    assert decision.verdict is Verdict.TOO_FEW
    assert "decide nothing" in decision.reason


def test_each_row_is_judged_against_the_version_that_answered_it() -> None:
    hard = Reference(loss=0.80, standard_error=0.0, rows=1000, roc_auc=0.5)
    both = pl.concat([window(0.3, rows=20), window(0.5, rows=60, version="2")])
    decision = judge(both, {"1": REFERENCE, "2": hard})
    assert decision.verdict is Verdict.QUIET
    assert decision.numbers.rows_by_version == {"2": 1800, "1": 600}
    assert decision.numbers.reference == pytest.approx((600 * 0.6109 + 1800 * 0.8) / 2400)
    assert judge(both, {"1": REFERENCE, "2": REFERENCE}).verdict is Verdict.HARM


def test_an_uncertain_reference_makes_harm_harder_to_show() -> None:
    unsure = REFERENCE.model_copy(update={"standard_error": 0.2})
    assert judge(window(0.5), {"1": unsure}).verdict is Verdict.QUIET


def test_a_version_that_was_measured_by_another_loss_is_a_fault_that_names_it() -> None:
    other = REFERENCE.model_copy(update={"loss_name": "squared_error"})
    with pytest.raises(DataError, match="Version 1 was measured by its squared_error"):
        judge(window(0.3), {"1": other})


def errors(scale: float, seed: int = 7) -> pl.DataFrame:
    """Rows of a regression whose errors are normal with standard deviation `scale`."""
    random = np.random.default_rng(seed)
    times = [START + timedelta(days=day, minutes=row) for day in range(30) for row in range(40)]
    outcome = random.normal(0, scale, len(times))
    columns = {"event_time": times, "model_version": "1", "prediction": 0.0, "outcome": outcome, "loss": outcome**2}
    return pl.DataFrame(columns)


@pytest.mark.parametrize("unit", [1.0, 1000.0, 1e-4])
def test_the_margin_of_a_regression_is_a_share_of_the_reference_whatever_the_labels_unit(unit: float) -> None:
    reference = Reference(loss_name="squared_error", loss=unit**2, standard_error=0.0, rows=1000)
    verdicts = {
        (rise, margin): judge(
            errors(unit * np.sqrt(1 + rise)), {"1": reference}, Tolerance(margin, 200, SQUARED_ERROR)
        ).verdict
        for rise in (0.0, 0.5)
        for margin in (0.1, 1.0)
    }
    assert [key for key, verdict in verdicts.items() if verdict is Verdict.HARM] == [(0.5, 0.1)]


def test_the_sentence_of_a_regression_names_its_measure_and_the_share() -> None:
    reference = Reference(loss_name="squared_error", loss=1e6, standard_error=0.0, rows=1000)
    decision = judge(errors(2000.0), {"1": reference}, Tolerance(0.1, 200, SQUARED_ERROR))
    assert decision.reason.startswith("Squared error ")
    assert "the reference 1,000,000: +" in decision.reason
    assert decision.reason.endswith("above the tolerated +100,000 (0.1 of the reference).")
    assert (decision.numbers.loss_name, decision.numbers.roc_auc) == ("squared_error", None)
    assert decision.numbers.margin == pytest.approx(1e5)


def test_a_wide_relative_margin_widens_what_the_references_own_error_allows() -> None:
    # Realised 3.2 ± .13 against 3 = 1 (1 + 2): beyond it, unless the reference may as well be 1.1.
    sure = Reference(loss_name="squared_error", loss=1.0, standard_error=0.0, rows=1000)
    unsure = sure.model_copy(update={"standard_error": 0.1})
    wide = Tolerance(2.0, 200, SQUARED_ERROR)
    assert judge(errors(np.sqrt(3.6)), {"1": sure}, wide).verdict is Verdict.HARM
    assert judge(errors(np.sqrt(3.6)), {"1": unsure}, wide).verdict is Verdict.QUIET


def test_the_decision_is_plain_json_whatever_the_verdict() -> None:
    for frame in (window(0.3), window(0.5), window(0.9, days=1), window(0.5, days=0)):
        body = judge(frame, {"1": REFERENCE}).body()
        assert json.loads(json.dumps(body, allow_nan=False)) == body


def test_a_model_as_good_as_the_margin_allows_is_called_harmful_at_most_a_few_times_in_a_hundred() -> None:
    # Day effects of .1 on the share; the reference is moved so that the true rise is exactly the margin.
    at_margin = REFERENCE.model_copy(update={"loss": REFERENCE.loss - TOLERANCE.margin})
    verdicts = [judge(window(0.3, day_effect=0.1, seed=seed), {"1": at_margin}).verdict for seed in range(300)]
    assert verdicts.count(Verdict.HARM) / 300 < 0.06
    without_rise = [judge(window(0.3, day_effect=0.1, seed=seed), {"1": REFERENCE}).verdict for seed in range(300)]
    assert without_rise.count(Verdict.HARM) <= 3


def test_a_regression_as_bad_as_the_margin_allows_is_called_harmful_at_most_a_few_times_in_a_hundred() -> None:
    # Days on which all errors are wider, and a reference that is itself an estimate over days like these.
    random = np.random.default_rng(7)

    def month() -> pl.DataFrame:
        scale = np.exp(random.normal(0, 0.2, 30)).repeat(40)
        return errors(1.0, seed=int(random.integers(1 << 30))).with_columns(pl.col("loss") * scale**2)

    def verdict() -> Verdict:
        found = estimate(by_day(month(), "loss"))
        reference = Reference(
            loss_name="squared_error", loss=found.mean, standard_error=found.standard_error, rows=1200
        )
        at_margin = month().with_columns(pl.col("loss") * 3)
        return judge(at_margin, {"1": reference}, Tolerance(2.0, 200, SQUARED_ERROR)).verdict

    assert [verdict() for _ in range(400)].count(Verdict.HARM) / 400 < 0.045


def test_a_window_without_any_rows_is_too_few_and_no_fault() -> None:
    nothing = pl.DataFrame(
        schema={"model_version": pl.String, "prediction": pl.Float64, "outcome": pl.Float64, "event_time": pl.Datetime}
        | {"loss": pl.Float64}
    )
    decision = decide(against_reference(nothing, {}), {}, TOLERANCE)
    assert decision.verdict == Verdict.TOO_FEW
