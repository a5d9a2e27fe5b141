"""What a model answers, by task: the columns of its signature, of the contract and of every prediction."""

from collections.abc import Sequence

from mlflow.models import ModelSignature
from mlflow.types.schema import AnyType, ColSpec, Schema

from flywheel.contract import Contract
from flywheel.usecase import Task

# MLflow takes these as they come. The rest it would change before the model sees it: 1.5 in a long becomes 1, null in a
# boolean becomes false, and a time with a zone a fault. So the signature leaves their types to the model's own check.
KEPT = ("double", "string")


def output_columns(task: Task, classes: Sequence[str], threshold: float | None) -> tuple[tuple[str, str], ...]:
    """Return (name, MLflow type) of each output."""
    if task == "regression":
        return (("prediction", "double"),)
    if task == "multiclass":
        return (("prediction", "string"), *((f"probability_{name}", "double") for name in classes))
    decision = (("decision", "boolean"),) if threshold is not None else ()
    return (("probability", "double"), *decision)


def signature_of(contract: Contract, outputs: Sequence[tuple[str, str]]) -> ModelSignature:
    """Say the contract in MLflow's words; a nullable column may also be left out."""
    inputs = [
        ColSpec(column.type if column.type in KEPT else AnyType(), column.name, required=not column.nullable)
        for column in contract.columns
    ]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema([ColSpec(kind, name) for name, kind in outputs]))
