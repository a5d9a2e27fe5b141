"""The newest window estimated from its answers: of classes, by the probabilities that the version gave them."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from flywheel.contract import Output
from flywheel.package import INSIDE, ModelPackage, read_package
from flywheel.profile import Reference
from flywheel.usecase import UseCase, parse_usecase
from monitoring.look.estimated import estimated_window
from monitoring.look.recent import outlook_of
from monitoring.performance.answers import with_losses
from monitoring.performance.outlook import Outlook
from monitoring.windows.window import Span, read_window
from tests.monitoring.flights_log import CONTRACT, Flight, write_log
from tests.monitoring.flights_package import USE_CASE, write_model

NAMES = ("calm", "rain", "hail")
WEEK, AS_OF = timedelta(days=7), datetime(2013, 7, 1)  # a Monday
WEEKS, ROWS = 13, 300
USE_CASE_OF_CLASSES = USE_CASE | {"task": "multiclass", "monitor": {"window": "7d", "retrain": {"margin": 0.02}}}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    probabilities = (Output(name=f"probability_{name}", type="double") for name in NAMES)
    outputs = (Output(name="prediction", type="string"), *probabilities)
    contract = CONTRACT.model_copy(update={"outputs": outputs})
    folder = tmp_path_factory.mktemp("packages") / "1-new"
    write_model(folder, Reference(loss=0.62, standard_error=0.01, rows=1000), USE_CASE_OF_CLASSES, contract)
    sample = pl.read_parquet(folder / INSIDE / "reference.parquet")
    labels = pl.Series(["calm", "calm", "calm", "rain"] * 75)
    sample.with_columns(prediction=pl.lit("calm"), label=labels).write_parquet(folder / INSIDE / "reference.parquet")
    return read_package(folder)


@pytest.fixture
def use_case() -> UseCase:
    return parse_usecase(USE_CASE_OF_CLASSES, "test")


def answered(folder: Path, package: ModelPackage, use_case: UseCase) -> pl.DataFrame:
    """Thirteen weeks of answers that mean what they say; each week is harder to tell or easier than the one before."""
    random, flights = np.random.default_rng(3), []
    for week in range(WEEKS):
        easy = 1 + 2 * (week % 4)
        for number in range(ROWS):
            sure = 0.4 + 0.59 * random.beta(easy, 3)  # of the answer
            shares = {"calm": sure, "rain": (1 - sure) * 0.7, "hail": (1 - sure) * 0.3}
            outputs: dict[str, float | str] = {"prediction": "calm"}
            outputs |= {f"probability_{name}": share for name, share in shares.items()}
            time = AS_OF - WEEK * (WEEKS - week) + WEEK * (number / ROWS)
            truth = str(random.choice(NAMES, p=[shares[name] for name in NAMES]))
            known = None if week == WEEKS - 1 else truth  # the newest week's outcomes are still to come
            flights.append(Flight(f"{week}-{number}", time, outcome=known, outputs=outputs))
    log = write_log(folder, flights, contract=package.contract)
    rows = read_window(log, use_case, Span(AS_OF - WEEKS * WEEK, AS_OF, AS_OF)).rows
    return with_losses(rows, "multiclass", {"1": package.contract})


def estimate(folder: Path, package: ModelPackage, use_case: UseCase) -> Outlook:
    judged = answered(folder, package, use_case)
    found = outlook_of(judged, use_case, package, as_of=AS_OF, changes=[])
    assert found is not None
    return found


def test_classes_are_estimated_before_their_outcomes_and_held_against_the_packages_reference(
    tmp_path: Path, package: ModelPackage, use_case: UseCase
) -> None:
    found = estimate(tmp_path, package, use_case)
    assert (found.rows, found.realised, set(found.forecasts)) == (ROWS, {}, {"log_loss", "accuracy"})
    loss = found.forecasts["log_loss"]
    hardest = 0.4 + 0.59 / 4  # the mean of the newest week's answers
    assert found.forecasts["accuracy"].value == pytest.approx(hardest, abs=0.06)
    assert loss.trusted
    assert loss.error is not None
    assert loss.error_of_constant is not None
    assert loss.error < loss.error_of_constant / 2  # weeks differ, and .62 is the same each time


def test_such_an_estimate_may_say_harm_before_the_outcomes_do(
    tmp_path: Path, package: ModelPackage, use_case: UseCase
) -> None:
    body = estimated_window(estimate(tmp_path, package, use_case), package.profile.reference.loss, use_case)
    assert body is not None
    assert (body["verdict"], body["basis"]) == ("harm", "estimated")


def test_without_answers_there_is_no_estimate(tmp_path: Path, package: ModelPackage, use_case: UseCase) -> None:
    nothing = answered(tmp_path, package, use_case).clear()
    assert outlook_of(nothing, use_case, package, as_of=AS_OF, changes=[]) is None
