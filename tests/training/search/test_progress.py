"""What a person sees while a search runs."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tests.training.tiny_dataset import planned, usecase, write
from training.search.plan import SearchPlan
from training.search.progress import SearchProgress
from training.search.trial import TrialReport

TRIAL = TrialReport(0, "logistic", {"C": 1.0}, "complete", 0.5, (0.5,), 1.25, "here:1")


@pytest.fixture
def plan(tmp_path: Path) -> SearchPlan:
    case = usecase(metric="roc_auc")
    return planned(tmp_path, case, write(tmp_path, case), trials=3)


def test_a_terminal_gets_one_bar_with_the_latest_and_the_best(plan: SearchPlan) -> None:
    screen = io.StringIO()
    with SearchProgress(plan, Console(file=screen, force_terminal=True, width=120)) as show:
        show(TRIAL)
        show(replace(TRIAL, number=1, value=0.25))
        show(replace(TRIAL, number=2, state="pruned", value=None))
    assert "3/3" in screen.getvalue()
    assert "logistic pruned, best 0.5000" in screen.getvalue()


def test_elsewhere_each_trial_is_a_line_and_a_failed_one_says_why(
    plan: SearchPlan, capsys: pytest.CaptureFixture[str]
) -> None:
    with SearchProgress(plan, Console(file=io.StringIO())) as show:
        show(TRIAL)
        show(replace(TRIAL, number=1, state="failed", value=None, fault="logistic raised ValueError: no"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(word in lines[0] for word in ("trial", "logistic", "0.5000", "1.2"))
    assert "logistic raised ValueError: no" in lines[1]
