"""A model as small as a package can be: it answers its own input `chance`, and breaks on the mood `broken`."""

import mlflow
import pandas as pd


class Echo(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # mlflow is untyped
    """Answers `chance`, so that a test sees which answer belongs to which request."""

    def predict(self, context: object, model_input: pd.DataFrame, params: object = None) -> pd.DataFrame:
        """Return one column `probability`."""
        if (model_input["mood"] == "broken").any():
            raise ValueError("a row that this model cannot stand")
        return pd.DataFrame({"probability": model_input["chance"].astype(float)})


mlflow.models.set_model(Echo())
