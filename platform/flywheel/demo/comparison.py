"""What retraining was worth: the answers that clients got against the first version on the same labelled rows."""

import warnings
from pathlib import Path

import numpy as np
import polars as pl

from flywheel.errors import FlywheelError


def area_under_curve(label: np.ndarray, score: np.ndarray) -> float:
    """Return the area under the ROC curve as a rank statistic with mid-ranks for ties (Hanley & McNeil 1982).

    Args:
        label: 0 or 1, shape (n_rows,).
        score: Shape (n_rows,).

    Raises:
        FlywheelError: Only one class is there.
    """
    positives = int(label.sum())
    negatives = len(label) - positives
    if not positives or not negatives:
        raise FlywheelError("The area under the curve needs rows of both classes; replay more flights.")
    ranks = pl.Series(score).rank("average").to_numpy()
    return float((ranks[label == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def score_offline(package: Path, rows: pl.DataFrame) -> np.ndarray:
    """Score raw rows with a model package, outside any server.

    Returns:
        Probabilities, shape (n_rows,).
    """
    # Here and not above: MLflow takes seconds to import, and most commands do without it.
    import mlflow.pyfunc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = mlflow.pyfunc.load_model(str(package))
        columns = model.metadata.get_input_schema().input_names()
        answers = model.predict(rows.select(columns).to_pandas())
    return np.asarray(answers["probability"], dtype=float)


def auc_gain(package: Path, rows: pl.DataFrame, label: str, answered: pl.DataFrame, entity: str) -> float:
    """Return the AUC of what was answered minus the AUC of `package`, on the same labelled rows.

    Args:
        package: The first version's folder.
        rows: Raw rows with label and entity.
        label: Name of the label column.
        answered: Columns `entity` and `probability`: the answers that clients got.
        entity: Name of the entity column in `rows`.
    """
    known = rows.filter(pl.col(label).is_not_null()).join(answered, left_on=entity, right_on="entity", how="inner")
    truth = known[label].to_numpy()
    live = area_under_curve(truth, known["probability"].to_numpy())
    return live - area_under_curve(truth, score_offline(package, known.drop("probability")))
