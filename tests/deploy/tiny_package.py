"""Writes a package around the tiny model: `python tiny_package.py FOLDER`.

A process of its own, so that its warnings and seconds of imports stay out of the tests.
"""

import sys
import tempfile
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, Schema

from tests.deploy.tiny_contract import CLASSES, CONTRACT

EXAMPLE = {"at": ["2013-01-01T05:00:00"], "chance": [0.5], "count": [1], "gap": [1.5], "mood": ["calm"]}


def write_package(folder: Path) -> None:
    """Save the model with its contract where an agent looks for it."""
    with tempfile.TemporaryDirectory() as temporary:
        inside = Path(temporary) / "package"
        inside.mkdir()
        (inside / "contract.json").write_text(CONTRACT.model_dump_json())
        example = pd.DataFrame(EXAMPLE)
        example["at"] = pd.to_datetime(example["at"])
        mlflow.pyfunc.save_model(
            folder,
            python_model=str(Path(__file__).with_name("tiny_model.py")),
            artifacts={"package": str(inside)},
            signature=ModelSignature(
                inputs=Schema([ColSpec(column.type, column.name) for column in CONTRACT.columns]),
                outputs=Schema([ColSpec(output.type, output.name) for output in CONTRACT.outputs + CLASSES.outputs]),
            ),
            input_example=example,
            pip_requirements=["mlflow"],
        )


if __name__ == "__main__":
    write_package(Path(sys.argv[1]))
