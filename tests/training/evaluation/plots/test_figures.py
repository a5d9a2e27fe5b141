"""Every picture can be drawn, without a warning, from little and from much; what they say is right."""

from io import BytesIO

import numpy as np
import pytest
from matplotlib.figure import Figure

from flywheel.usecase import Costs, Evaluate, Task
from tests.training.evaluation.conftest import MakeSubject
from training.data.dataset import Columns
from training.evaluation.evaluate import evaluate
from training.evaluation.plots.canvas import shorten
from training.evaluation.plots.classes import confusion
from training.evaluation.plots.figures import figures
from training.evaluation.plots.importance import importance
from training.evaluation.plots.scales import Scale, make_scale
from training.evaluation.plots.trials import State, TrialView, optimisation, parallel
from training.evaluation.report import Explanation, Importance
from training.families.protocol import Value

ALWAYS = {"importance.png", "local.png", "slices.png", "robustness.png", "optimisation.png", "parallel.png"}
OWN: dict[Task, set[str]] = {
    "binary": {"roc.png", "precision_recall.png", "calibration.png", "costs.png"},
    "multiclass": {"confusion.png", "calibration.png"},
    "regression": {"residuals.png"},
}


def drawn(figure: Figure) -> bytes:
    """Render a picture: layout and fonts warn only then."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=50)
    return buffer.getvalue()


def texts(figure: Figure) -> str:
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    found += [axes.get_title(loc=place) for axes in figure.axes for place in ("left", "right")]
    found += [label.get_text() for axes in figure.axes for label in [*axes.get_yticklabels(), *axes.get_xticklabels()]]
    return "\n".join(found)


def trial(number: int, value: float | None, state: State = "complete") -> TrialView:
    if number % 2:
        return TrialView(number, "xgboost", {"xgboost.depth": 3 + number % 7, "xgboost.rate": 0.1}, value, state)
    own: dict[str, Value] = {"logistic.penalty": "l2"}
    if number % 4:
        own = {"logistic.penalty": "l1", "logistic.C_l1": 10.0 ** (number % 5)}
    return TrialView(number, "logistic", own, value, state)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_every_task_has_its_pictures(make_subject: MakeSubject, task: Task) -> None:
    costs = Costs(false_positive=1, false_negative=2) if task == "binary" else None
    subject = make_subject(task, rows=400, evaluate=Evaluate(bootstrap=100, slices=("colour", "size"), costs=costs))
    found = figures(evaluate(subject), subject, [trial(number, 0.5) for number in range(3)])
    assert set(found) - {"worst_slices.png"} == ALWAYS | OWN[task]
    assert all(drawn(figure).startswith(b"\x89PNG") for figure in found.values())


@pytest.mark.parametrize("count", [1, 2, 300])
@pytest.mark.parametrize("less_is_better", [True, False])
def test_any_number_of_trials_is_drawn_with_the_best_named(count: int, less_is_better: bool) -> None:
    random = np.random.default_rng(count)
    values = random.exponential(size=count)
    trials = [trial(number, float(value)) for number, value in enumerate(values)]
    trials += [trial(count, None, "failed"), trial(count + 1, 0.3, "pruned")]
    drawn(optimisation(trials, "log_loss", less_is_better=less_is_better))
    picture = parallel(trials, "log_loss", less_is_better=less_is_better)
    drawn(picture)
    best = values.min() if less_is_better else values.max()
    assert f"best log_loss {best:.4g}" in texts(picture)
    assert ("not set" in texts(picture)) == (count == 300)  # a trial without one of the conditional parameters
    assert picture.axes[0].get_title(loc="left").startswith("logistic")


def test_a_study_without_a_finished_trial_says_so() -> None:
    failed = [trial(0, None, "failed"), trial(1, 0.4, "pruned")]
    for picture in (
        optimisation(failed, "rmse", less_is_better=True),
        parallel(failed, "rmse", less_is_better=True),
    ):
        drawn(picture)
        assert "no trial was completed" in texts(picture)


def test_a_far_off_trial_does_not_squash_the_others() -> None:
    trials = [trial(number, 0.5 + number / 1000) for number in range(40)] + [trial(40, 1e9)]
    picture = optimisation(trials, "log_loss", less_is_better=True)
    assert picture.axes[0].get_ylim()[1] < 1


def test_thirty_features_with_long_names_are_cut_to_the_largest() -> None:
    names = tuple(f"a feature whose name goes on and on, number {index:02d} $x$" for index in range(30))
    sizes = tuple(Importance(feature=name, value=30.0 - index) for index, name in enumerate(names))
    explanation = Explanation(method="", unit="log-odds", rows=100, importances=sizes, local=())
    picture = importance(explanation, Columns(names, (None,) * 30), ())
    drawn(picture)
    assert "10 more add up to 55" in texts(picture)
    assert max(len(line) for line in texts(picture).splitlines()) < 45


@pytest.mark.parametrize("count", [2, 12, 40])
def test_any_number_of_classes_is_drawn(count: int) -> None:
    random = np.random.default_rng(count)
    label = random.integers(0, count, 500).astype(np.float64)
    picture = confusion(label, np.eye(count)[label.astype(int)], tuple(f"class number {code}" for code in range(count)))
    drawn(picture)
    if count <= 12:
        assert texts(picture).count("100") == len(np.unique(label))


def test_scales_place_values_where_their_ticks_say() -> None:
    rate = make_scale([0.001, 0.1, None])
    assert (rate.place(0.001), rate.place(0.1), rate.place(None)) == (0, 1, Scale.NOT_SET)
    assert np.isclose(rate.place(0.01), 0.5)
    depth = make_scale([2, 6])
    assert depth.place(4) == 0.5
    flag = make_scale([True, False, "auto"])
    assert [flag.place(value) for value in ("False", "True", "auto")] == [0, 0.5, 1]
    assert make_scale([7, 7]).place(7) == 0.5


def test_long_names_lose_their_middle() -> None:
    assert shorten("short") == "short"
    cut = shorten("departure delay of the aircraft's flight before", 20)
    assert len(cut) == 20
    assert cut.startswith("departure de")
    assert cut.endswith("before")
