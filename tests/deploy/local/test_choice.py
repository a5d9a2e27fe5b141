"""Which backend serves, from what was asked and what was measured."""

import pytest

from deploy.local.choice import Choice, Measurement, choose, without_measuring

FASTER = Measurement(parity=True, mlflow_ms=9.6, onnx_ms=0.4)
SLOWER = Measurement(parity=True, mlflow_ms=1.0, onnx_ms=2.0)
APART = Measurement(parity=False, mlflow_ms=9.6, onnx_ms=0.4, reason="3 of 100 rows differ")


@pytest.mark.parametrize(
    ("measured", "backend"), [(FASTER, "onnx"), (SLOWER, "mlflow"), (APART, "mlflow"), (Measurement(True), "mlflow")]
)
def test_auto_takes_onnx_only_where_it_answers_alike_and_is_faster(measured: Measurement, backend: str) -> None:
    assert choose("auto", measured).backend == backend


def test_onnx_may_be_demanded_though_it_is_slower() -> None:
    assert choose("onnx", SLOWER).backend == "onnx"


def test_a_demanded_onnx_that_answers_something_else_serves_nothing_and_says_so_in_one_sentence() -> None:
    choice = choose("onnx", APART)
    assert choice.backend is None
    assert "3 of 100 rows differ" in choice.reason


def test_the_reason_holds_the_figures_it_rests_on() -> None:
    assert "0.40 ms against 9.60 ms" in choose("auto", FASTER).reason


def test_mlflow_needs_no_measuring() -> None:
    assert without_measuring("mlflow", has_onnx=True) == Choice(
        "mlflow", "mlflow", "serving.yaml asks for MLflow's worker."
    )


def test_a_package_without_an_onnx_form_is_served_by_mlflow_unless_onnx_was_demanded() -> None:
    auto, demanded = without_measuring("auto", has_onnx=False), without_measuring("onnx", has_onnx=False)
    assert auto is not None
    assert auto.backend == "mlflow"
    assert demanded is not None
    assert demanded.backend is None
    assert without_measuring("auto", has_onnx=True) is None
