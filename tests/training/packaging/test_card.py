"""The card says what was measured and what was not, as a page of its own and as Markdown."""

import re
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from flywheel.usecase import Task
from tests.training.tiny_package import tiny_parts
from training.packaging.card import CardFacts, card_html, card_markdown, figure, interval


def between(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.02, "high": value + 0.03}


EVALUATION: dict[str, Any] = {
    "task": "binary",
    "metric": "log_loss",
    "classes": [],
    "rows": 5210,
    "days": 14,
    "resampling": {"method": "bootstrap", "resamples": 500, "unit": "day", "units": 14, "note": "Only 14 days: wide."},
    "scores": {"log_loss": between(0.4783), "roc_auc": between(0.713), "average_precision": between(0.51)},
    "validation_scores": {"log_loss": 0.47},
    "baseline": {
        "name": "baseline",
        "verdict": "better",
        "reason": "",
        "scores": {"log_loss": 0.56, "roc_auc": 0.5, "average_precision": 0.24},
        "loss": between(-0.082),
        "p_value": 1e-9,
    },
    "champion": {
        "name": "champion",
        "verdict": "undecided",
        "reason": "",
        "scores": {"log_loss": 0.4791, "roc_auc": 0.711, "average_precision": None},
        "loss": {"value": -0.0008, "low": -0.004, "high": 0.002},
        "p_value": 0.4,
    },
    "calibration": {"method": "isotonic", "error_before": 0.031, "error_after": 0.012},
    "decision": {"threshold": 0.31, "reason": "A missed one costs three times a false alarm."},
    "decision_outcome": {
        "cost": between(0.42),
        "cost_of_never": 0.7,
        "cost_of_always": 0.8,
        "precision": 0.41,
        "recall": 0.66,
    },
    "slices": [
        {
            "column": "carrier",
            "value": "UA|EV <script>",
            "rows": 812,
            "metric": "log_loss",
            "score": between(0.52),
            "difference": between(0.04),
        }
    ],
    "worst_slices": {
        "tested": 240,
        "found": [
            {
                "conditions": [["origin", "JFK"], ["hour", "18 to 22"]],
                "rows": 402,
                "loss": 0.66,
                "difference": between(0.18),
                "p_adjusted": 0.002,
            }
        ],
    },
    "robustness": [
        {"column": "temp", "kind": "missing", "rows": 5210, "loss": 0.49, "rise": between(0.011), "fault": ""},
        {"column": "wind", "kind": "noise", "rows": 5210, "loss": None, "rise": {"value": None}, "fault": "ValueError"},
    ],
    "behaviours": [
        {"name": "later is worse", "description": "hour + 3 → higher", "share": 0.97, "passed": True},
        {"name": "same carrier", "description": "carrier = UA → same", "share": 0.5, "passed": False},
    ],
    "explanation": {
        "method": "tree SHAP",
        "unit": "log-odds",
        "rows": 1000,
        "importances": [{"feature": f"feature_{i}", "value": 0.5 / (i + 1)} for i in range(15)],
    },
}


def facts(home: Path, evaluation: dict[str, Any], task: Task = "binary", **onnx: Any) -> CardFacts:
    parts = tiny_parts(home, task, evaluation=evaluation)
    drawn = Figure(figsize=(6, 4))
    drawn.add_subplot().plot([0, 1], [0, 1])
    report = {"available": True, "largest_difference": 2e-7, "rows": 200, "onnx_microseconds": 19.4}
    report |= {"model_microseconds": 6021.0, **onnx}
    lineage = parts.lineage.model_copy(update={"git_commit": "0" * 40, "git_dirty": True, "parent": "3"})
    return CardFacts(parts.usecase, lineage, parts.contract, evaluation, report, {"ROC": drawn, "Calibration": drawn})


def test_the_page_needs_no_other_file_and_shows_what_was_measured(tmp_path: Path) -> None:
    page = card_html(facts(tmp_path, EVALUATION))
    assert page.startswith("<!doctype html>")
    assert page.count("data:image/png;base64,") == 2
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "<script>" not in page
    assert "UA|EV &lt;script&gt;" in page
    for text in (
        "0.4783",
        "0.4583 to 0.5083",
        "undecided",
        "origin is JFK and hour is 18 to 22",
        "no answer",
        "19.4 µs",
    ):
        assert text in page, text
    assert "Behavioural tests that failed: same carrier." in page
    assert "Only 14 days: wide." in page
    assert "feature_11" in page
    assert "feature_12" not in page


def test_markdown_says_the_same_in_whole_tables(tmp_path: Path) -> None:
    text = card_markdown(facts(tmp_path, EVALUATION))
    assert text.startswith("# tiny 1.0.0\n")
    assert "| log loss | 0.4783 | 0.4583 to 0.5083 | 0.56 | 0.4791 | lower |" in text
    assert "Beside the champion on the same rows: **undecided**; its loss differs by -0.0008" in text
    assert "carrier UA\\|EV <script>" in text
    assert "flywheel reproduce tiny VERSION" in text
    widths = {}
    for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        rows = [re.split(r"(?<!\\)\|", line.strip()) for line in block.strip().splitlines()]
        assert len({len(row) for row in rows}) == 1, block
        widths[block] = len(rows)
    assert len(widths) >= 5
    assert "\n\n\n\n" not in text


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_card_without_measurements_says_so(tmp_path: Path, task: Task) -> None:
    bare = facts(tmp_path, {}, task, available=False, reason="MissingShapeCalculator: no converter")
    for text in (card_html(bare), card_markdown(bare)):
        assert "Nothing was measured." in text
        assert "There is no ONNX form: MissingShapeCalculator: no converter." in text
        assert "None" not in text


def test_figures_have_four_digits_that_count() -> None:
    assert [figure(value) for value in (None, 0.123456, 12, 1234.0, 123456.7, 0)] == [
        "–",
        "0.1235",
        "12",
        "1,234",
        "123,457",
        "0",
    ]
    assert interval({"value": 1.0}) == ""
