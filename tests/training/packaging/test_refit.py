"""A version whose rows weighed by age is fitted again with the same weights."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np

from flywheel.package import INSIDE, read_package
from tests.training.tiny_package import tiny_parts, tiny_rows
from training.arguments import with_rows
from training.data.prediction import predict_matrix
from training.families.catalogue import choose_families
from training.packaging.model_code import encode
from training.packaging.package import write_package
from training.packaging.reproduce import refit


def test_weights_of_the_package_s_use_case_are_heeded(tmp_path: Path) -> None:
    parts = tiny_parts(tmp_path / "home")
    rows, family = tiny_rows("binary"), choose_families((parts.lineage.family,), "binary", tmp_path)[0]
    matrix = encode(parts.features, parts.columns.document())
    answers = []
    for half_life in (None, timedelta(days=1), timedelta(days=36500)):
        folder = tmp_path / str(half_life)
        usecase = with_rows(parts.usecase, {"half_life": half_life})
        write_package(folder / INSIDE, replace(parts, usecase=usecase))
        (folder / "MLmodel").touch()
        answers.append(predict_matrix(refit(read_package(folder), family, rows), matrix, "binary"))
    alike, newest, hardly = answers
    assert np.array_equal(alike, predict_matrix(parts.model, matrix, "binary"))
    assert np.abs(newest - alike).max() > 0.05
    assert np.abs(hardly - alike).max() < 0.05
