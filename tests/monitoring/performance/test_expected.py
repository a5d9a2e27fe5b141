"""What is expected of scores is what comes of them, when they mean what they meant."""

import itertools
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.contract import Column, Contract, outputs_of
from flywheel.errors import DataError
from flywheel.statistics import Floats, area_under_curve, row_losses
from flywheel.usecase import Costs
from monitoring.performance.calibration import calibrate
from monitoring.performance.estimation import expect, known_rows
from monitoring.performance.expected import expected_area, expected_metrics
from monitoring.performance.expected_classes import with_probabilities

COSTS = Costs(false_positive=1, false_negative=3)
TIME = Column(name="at", type="datetime", nullable=False)


def drawn(share: Floats, seed: int) -> Floats:
    return (np.random.default_rng(seed).random(len(share)) < share).astype(np.float64)


def test_expectations_are_the_means_over_all_outcomes_that_may_come() -> None:
    score, share = np.array([0.1, 0.4, 0.4, 0.6, 0.9]), np.array([0.2, 0.3, 0.3, 0.7, 0.8])
    found = expected_metrics(score, share, COSTS)
    means = dict.fromkeys(("log_loss", "accuracy", "brier", "cost"), 0.0)
    for outcomes in itertools.product((0.0, 1.0), repeat=5):
        label = np.array(outcomes)
        weight, one = float(np.where(label > 0, share, 1 - share).prod()), score >= 0.5
        means["log_loss"] += weight * row_losses("binary", label, score).mean()
        means["accuracy"] += weight * (one == (label > 0)).mean()
        means["brier"] += weight * ((score - label) ** 2).mean()
        means["cost"] += weight * np.where(one, (1 - label) * 1, label * 3).mean()
    assert found | means == pytest.approx(found)


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0.01, 0.99)), min_size=2, max_size=20))
def test_the_expected_area_is_the_ratio_over_pairs_of_different_rows(rows: list[tuple[int, float]]) -> None:
    score, share = np.array([float(row[0]) for row in rows]), np.array([row[1] for row in rows])
    wins = pairs = 0.0
    for i, j in itertools.permutations(range(len(rows)), 2):
        weight = share[i] * (1 - share[j])
        pairs += weight
        wins += weight * (1.0 if score[i] > score[j] else 0.5 if score[i] == score[j] else 0.0)
    assert expected_area(score, share) == pytest.approx(wins / pairs)


def test_estimates_meet_the_outcomes_when_only_the_inputs_move() -> None:
    random = np.random.default_rng(5)

    def rows(shift: float, seed: int) -> pl.DataFrame:
        score = 1 / (1 + np.exp(-random.normal(shift, 1, 20_000)))
        outcome = drawn(score**2, seed)  # the scores are overconfident, in the reference as well
        return pl.DataFrame({"model_version": "1", "prediction": score, "outcome": outcome})

    reference, window = rows(0.0, 1), rows(1.0, 2)
    found = expect(window, reference, "binary", COSTS)
    label, score = window["outcome"].to_numpy(), window["prediction"].to_numpy()
    realised = {
        "log_loss": row_losses("binary", label, score).mean(),
        "roc_auc": area_under_curve(label > 0, score),
        "accuracy": ((score >= 0.5) == (label > 0)).mean(),
        "cost": np.where(score >= 0.5, 1 - label, 3 * label).mean(),
    }
    assert {name: found[name] for name in realised} == pytest.approx(realised, abs=0.02)
    moved = row_losses("binary", reference["outcome"].to_numpy(), reference["prediction"].to_numpy()).mean()
    assert abs(found["log_loss"] - realised["log_loss"]) < 0.3 * abs(moved - realised["log_loss"])


def test_each_version_is_read_by_its_own_outcomes() -> None:
    score = np.full(4_000, 0.5)
    known = pl.concat(
        pl.DataFrame({"model_version": version, "prediction": score, "outcome": drawn(np.full(4_000, share), 3)})
        for version, share in (("1", 0.1), ("2", 0.8))
    )
    rows = pl.DataFrame({"model_version": ["2"] * 10 + ["9"] * 10, "prediction": [0.5] * 20})
    assert expect(rows, known, "binary")["accuracy"] == pytest.approx(0.8, abs=0.03)
    assert expect(rows.tail(10), known, "binary") == {}


def test_where_the_error_depends_on_inputs_a_regressions_error_is_foreseen() -> None:
    random = np.random.default_rng(6)

    def rows(share_hard: float) -> pl.DataFrame:
        hard, wind = random.random(6_000) < share_hard, random.uniform(0, 1, 6_000)
        error = random.normal(0, 1, 6_000) * (1 + 3 * hard + 2 * wind)
        return pl.DataFrame(
            {"kind": np.where(hard, "storm", "calm"), "wind": wind, "prediction": 10.0, "label": 10.0 + error}
        )

    known, window = known_rows("1", rows(0.1), "regression"), known_rows("1", rows(0.6), "regression")
    realised = math.sqrt(window["loss"].to_numpy().mean())
    found = expect(window.drop("loss", "outcome"), known, "regression")["rmse"]
    assert found == pytest.approx(realised, rel=0.05)
    assert abs(math.sqrt(known["loss"].to_numpy().mean()) - realised) > 0.2 * realised


def classes(rows: int, seed: int, version: str = "1", *, shift: float = 0.0) -> pl.DataFrame:
    """Three classes; the version's probabilities are overconfident in the same way everywhere."""
    random = np.random.default_rng(seed)
    logits = random.normal([shift, 0, 0], 1, (rows, 3))
    true, said = (np.exp(scale * logits) for scale in (1.0, 2.0))
    true, said = true / true.sum(axis=1, keepdims=True), said / said.sum(axis=1, keepdims=True)
    outcome = (random.random((rows, 1)) > true.cumsum(axis=1)).sum(axis=1)
    names = np.array(["calm", "rain", "snow"])
    columns = {f"probability_{name}": said[:, place] for place, name in enumerate(names)}
    loss = row_losses("multiclass", outcome.astype(np.float64), said)
    prediction = names[said.argmax(axis=1)]
    return pl.DataFrame(
        {"model_version": version, "prediction": prediction, "outcome": names[outcome], "loss": loss, **columns}
    )


def test_several_classes_are_estimated_by_what_their_probabilities_have_meant() -> None:
    known, window = classes(8_000, 1), classes(8_000, 2, shift=1.5)
    found = expect(window, known, "multiclass")
    right = (window["prediction"] == window["outcome"]).to_numpy().mean()
    assert found["accuracy"] == pytest.approx(right, abs=0.02)
    assert found["log_loss"] == pytest.approx(window["loss"].to_numpy().mean(), abs=0.04)
    plain = expect(window, known.head(0), "multiclass")
    assert plain["accuracy"] > right + 0.1  # what the version itself believes


def test_versions_with_other_classes_are_each_read_by_their_own() -> None:
    other = classes(500, 3, "2").rename({"probability_snow": "probability_hail"})
    rows = pl.concat([classes(500, 4), other.with_columns(outcome=pl.lit("calm"))], how="diagonal")
    wider = classes(4_000, 6, "2").rename({"probability_snow": "probability_hail"})
    wider = wider.with_columns(pl.col("outcome").replace("snow", "hail"))
    known = pl.concat([classes(4_000, 5), wider], how="diagonal")
    apart = [expect(rows.filter(pl.col("model_version") == one), known, "multiclass")["log_loss"] for one in ("1", "2")]
    assert expect(rows, known, "multiclass")["log_loss"] == pytest.approx(sum(apart) / 2)
    unlike = expect(rows, pl.concat([classes(4_000, 5), classes(4_000, 6, "2")], how="diagonal"), "multiclass")
    assert unlike["log_loss"] != pytest.approx(sum(apart) / 2)  # other classes teach nothing
    assert expect(rows.select("model_version", "prediction", "outcome"), known, "multiclass") == {}


def test_probabilities_of_classes_are_read_from_the_log_by_the_contracts() -> None:
    rows = pl.DataFrame({"outputs": [{"prediction": "rain", "probability_calm": 0.2, "probability_rain": 0.8}]})
    outputs = outputs_of("multiclass", ("calm", "rain"))
    contract = Contract(columns=(TIME,), event_time="at", entity=None, outputs=outputs)
    found = with_probabilities(rows, {"1": contract})
    assert found.select("probability_calm", "probability_rain").rows() == [(0.2, 0.8)]


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60), st.floats(0, 1))
@settings(deadline=None)
def test_a_calibration_never_falls_and_promises_no_certainty(rows: list[tuple[float, bool]], at: float) -> None:
    score, label = np.array([row[0] for row in rows]), np.array([float(row[1]) for row in rows])
    curve = calibrate(score, label)
    shares = curve(np.sort(np.append(score, at)))
    assert (np.diff(shares) >= -1e-12).all()
    assert (shares > 0).all()
    assert (shares < 1).all()


def test_a_few_rows_above_many_do_not_make_the_curve_fall() -> None:
    score = np.repeat([0.0, 0.4, 0.5], [100, 100, 3])
    label = np.concatenate([np.zeros(100), np.ones(66), np.zeros(34), np.ones(2), np.zeros(1)])
    low, middle, high = calibrate(score, label)(np.array([0.0, 0.4, 0.5]))
    assert low < middle == high


def test_without_labelled_rows_there_is_a_sentence() -> None:
    with pytest.raises(DataError, match="reference sample or past outcomes"):
        calibrate(np.empty(0), np.empty(0))
