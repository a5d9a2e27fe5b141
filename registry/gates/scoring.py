"""A program of its own: loads an MLflow model and answers rows, all in one call, without a server.

Run as a file (`python -I scoring.py FOLDER ROWS ANSWERS`, both Parquet) by the model's interpreter, it imports nothing
of ours: `registry.gates.offline` starts it, because a model's code is not trusted.
"""

import sys
import warnings


def main(folder: str, rows: str, answers: str) -> None:
    """Read rows, ask the model, write a frame of its answers."""
    warnings.simplefilter("ignore")
    import mlflow  # noqa: PLC0415  # after the warnings that its import gives are off
    import pandas as pd  # noqa: PLC0415

    found = mlflow.pyfunc.load_model(folder).predict(pd.read_parquet(rows))
    frame = found if isinstance(found, pd.DataFrame) else pd.DataFrame(found)
    frame.columns = [str(name) for name in frame.columns]
    frame.to_parquet(answers, index=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
