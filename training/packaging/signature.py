"""The contract in MLflow's words: the signature that is stored with a model and shown on its page."""

from mlflow.models import ModelSignature
from mlflow.types.schema import AnyType, ColSpec, Schema

from flywheel.contract import Contract

# MLflow takes these as they come. The rest it would change before the model sees it: 1.5 in a long becomes 1, null in a
# boolean becomes false, a time with a zone a 500, and a pandas frame with nullable whole numbers is refused
# (mlflow#25593). So the signature leaves their types to the model's own check, which holds requests to the contract.
KEPT = ("double", "string")


def signature_of(contract: Contract) -> ModelSignature:
    """Return inputs and outputs of the contract; a nullable column may also be left out."""
    inputs = [
        ColSpec(column.type if column.type in KEPT else AnyType(), column.name, required=not column.nullable)
        for column in contract.columns
    ]
    outputs = [ColSpec(output.type, output.name) for output in contract.outputs]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))
