"""requirements.lock names everything behind a prediction, at the version that is installed."""

from importlib.metadata import version

from training.packaging.environment_lock import environment_lock, scoring_requirements


def test_scoring_needs_mlflow_and_the_library_of_the_flavour() -> None:
    sklearn = scoring_requirements("sklearn")
    assert f"scikit-learn=={version('scikit-learn')}" in sklearn
    assert f"mlflow=={version('mlflow')}" in sklearn
    assert any(line.startswith("skops==") for line in sklearn)
    assert not any(line.startswith("xgboost") for line in sklearn)
    assert {"xgboost", "scikit-learn", "polars"} <= {line.split("==")[0] for line in scoring_requirements("xgboost")}


def test_the_lock_holds_what_the_requirements_need_in_turn_and_nothing_else() -> None:
    lock = environment_lock(["skops==0", "nothing-of-the-kind==1"], "3.11.7")
    first, *lines = lock.splitlines()
    assert "Python 3.11.7" in first
    assert lines == sorted(lines)
    names = {line.split("==")[0] for line in lines}
    assert {"skops", "scikit-learn", "numpy", "scipy", "threadpoolctl"} <= names
    assert "mlflow" not in names
    assert f"scipy=={version('scipy')}" in lines


def test_the_lock_is_the_same_each_time() -> None:
    needed = scoring_requirements("sklearn")
    assert environment_lock(needed, "3.11") == environment_lock(reversed(needed), "3.11")
