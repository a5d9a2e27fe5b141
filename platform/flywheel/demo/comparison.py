"""What retraining was worth: the answers that clients got against the first version on the same labelled rows."""

import warnings
from pathlib import Path

import numpy as np
import polars as pl

from flywheel.errors import FlywheelError
from flywheel.statistics import area_under_curve


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

    Raises:
        FlywheelError: Only one class is there.
    """
    known = rows.filter(pl.col(label).is_not_null()).join(answered, left_on=entity, right_on="entity", how="inner")
    late = known[label].to_numpy() > 0
    live = area_under_curve(late, known["probability"].to_numpy())
    first = area_under_curve(late, score_offline(package, known.drop("probability")))
    if live is None or first is None:
        raise FlywheelError("The area under the curve needs rows of both classes; replay more flights.")
    return live - first
