"""The whole evaluation: complete for every task, true to itself, and readable as JSON."""

import json
from dataclasses import replace

import numpy as np
import pytest

from flywheel.usecase import Behaviour, Costs, Evaluate, Task
from tests.training.evaluation.conftest import MakeSubject
from training.evaluation.evaluate import evaluate, expected_losses
from training.evaluation.report import Evaluation
from training.evaluation.subject import Champion
from training.metrics import METRICS, row_losses

WISH = Evaluate(
    bootstrap=100,
    slices=("colour",),
    costs=Costs(false_positive=1, false_negative=3),
    behaviours=(Behaviour(name="colour", column="colour", set="red", expect="same"),),
)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_report_is_complete_and_survives_json(make_subject: MakeSubject, task: Task) -> None:
    wish = WISH if task == "binary" else WISH.model_copy(update={"costs": None})
    subject = make_subject(task, evaluate=wish, champion=Champion("version 1", reason="It is of another task."))
    found = evaluate(subject)
    document = json.dumps(found.document(), allow_nan=False)
    read = Evaluation.model_validate_json(document)
    assert read.document() == found.document()
    assert read.metrics() == found.metrics()
    assert found.champion is not None
    assert found.champion.verdict == "none"
    assert found.baseline.verdict == "better"
    assert found.resampling.unit == "days"
    assert (found.calibration is None) == (task == "regression")
    assert (found.decision is None) == (task != "binary")
    assert found.behaviours[0].passed is False
    assert set(found.seconds) >= {"scores", "robustness", "explanation"}
    for metric in METRICS[task]:
        score = found.scores[metric.name]
        assert score.value == metric.measure(subject.label, subject.prediction)
        assert (score.low or 0) < (score.value or 0) < (score.high or 0)
        assert found.metrics()[f"test_{metric.name}"] == score.value
        assert f"validation_{metric.name}" in found.metrics()


def test_the_same_subject_gives_the_same_report(make_subject: MakeSubject) -> None:
    subject = make_subject(evaluate=WISH, rows=600)
    first, second = (evaluate(subject, clock=lambda: 0.0) for _ in range(2))
    assert first.document() == second.document()


def test_a_champion_is_compared_on_the_same_rows(make_subject: MakeSubject) -> None:
    subject = make_subject()
    random = np.random.default_rng(1)
    weak = Champion("version 1", np.clip(subject.prediction + random.normal(scale=0.15, size=1200), 0.01, 0.99))
    found = evaluate(replace(subject, champion=weak))
    assert found.champion is not None
    assert found.champion.verdict == "better"
    assert weak.prediction is not None
    losses = [row_losses("binary", subject.label, told).mean() for told in (subject.prediction, weak.prediction)]
    assert np.isclose(found.metrics()["test_loss_over_champion"], losses[0] - losses[1])


def test_one_class_and_few_days_leave_out_what_cannot_be_known(make_subject: MakeSubject) -> None:
    subject = make_subject(evaluate=WISH, rows=300)
    bare = replace(subject, label=np.zeros(300), day=np.repeat([1, 2, 3], 100))
    found = evaluate(bare)
    assert found.scores["roc_auc"].value is None
    assert "test_roc_auc" not in found.metrics()
    assert found.resampling.unit == "rows"
    json.dumps(found.document(), allow_nan=False)


def test_a_calibrated_model_expects_the_loss_that_it_has() -> None:
    random = np.random.default_rng(1)
    prediction = random.dirichlet(np.ones(3), size=20_000)
    label = (prediction.cumsum(axis=1) < random.random((20_000, 1))).sum(axis=1).astype(np.float64)
    expected = expected_losses("multiclass", prediction)
    assert expected is not None
    assert abs(expected.mean() - row_losses("multiclass", label, prediction).mean()) < 0.02
    binary = expected_losses("binary", np.array([0.0, 0.5, 1.0]))
    assert binary is not None
    assert np.allclose(binary, [0, np.log(2), 0])
    assert expected_losses("regression", prediction[:, 0]) is None
