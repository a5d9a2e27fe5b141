"""A model as small as a package can be: it answers its own input `chance`, and breaks on the mood `broken`."""

import mlflow
import pandas as pd


class Echo(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # mlflow is untyped
    """Answers `chance`, so that a test sees which answer belongs to which request."""

    def predict(self, context: object, model_input: pd.DataFrame, params: object = None) -> pd.DataFrame:
        """Return `probability`, and what other contracts name: classes, an amount, a decision."""
        if (model_input["mood"] == "broken").any():
            raise ValueError("a row that this model cannot stand")
        chance = model_input["chance"].astype(float)
        return pd.DataFrame(
            {
                "probability": chance,
                "prediction": (chance > 0.5).map({True: "wild", False: "calm"}),
                "probability_calm": 1 - chance,
                "probability_wild": chance,
                "amount": 100 * chance - 50,
                "decision": chance > 0.5,
            }
        )


mlflow.models.set_model(Echo())
