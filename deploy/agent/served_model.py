"""The served version in the Open Inference Protocol's terms, for REST and gRPC: metadata, and outputs as tensors."""

from collections.abc import Sequence
from typing import Any

from deploy.agent.dataplane import Answer
from deploy.agent.recording import Identity
from deploy.agent.refusal import RefusalError
from deploy.agent.tensors import DATATYPE_OF, Tensor, shown
from flywheel.contract import Contract

PLATFORM = "flywheel"
PREDICTION_ID = "prediction_id"


class ServedModel:
    """One version's metadata and answers.

    Beside the contract's outputs there is `prediction_id` (BYTES), for those who ask for it by name: a request of many
    rows has no room for its ids in headers.
    """

    def __init__(self, identity: Identity, contract: Contract) -> None:
        self._identity = identity
        self._contract = contract
        self._types = {output.name: DATATYPE_OF[output.type] for output in contract.outputs}

    def server(self) -> dict[str, Any]:
        """Return what the server is."""
        return {"name": PLATFORM, "version": self._identity.version, "extensions": ["binary_tensor_data"]}

    def metadata(self) -> dict[str, Any]:
        """Return the tensors of the model; -1 stands for any number of rows."""
        contract = self._contract
        inputs = [(column.name, DATATYPE_OF[column.type]) for column in contract.columns]
        inputs += [(key, "BYTES") for key in (contract.entity, contract.subject) if key is not None]
        return {
            "name": self._identity.use_case,
            "versions": [self._identity.version],
            "platform": PLATFORM,
            "inputs": [_described(name, datatype) for name, datatype in inputs],
            "outputs": [_described(name, datatype) for name, datatype in self._types.items()],
        }

    def check_outputs(self, names: Sequence[str] | None) -> None:
        """Check the outputs that a request asks for by name.

        Raises:
            RefusalError: One does not exist, or is asked for twice.
        """
        if names is None:
            return
        for name in names:
            if name not in self._types and name != PREDICTION_ID:
                known = ", ".join((*self._types, PREDICTION_ID))
                raise RefusalError("form", f"There is no output {shown(name)}. Ask for some of: {known}.")
        if len(set(names)) != len(names):
            raise RefusalError("form", "An output is asked for twice. Name each once.")

    def tensors(self, answer: Answer, names: Sequence[str] | None) -> list[Tensor]:
        """Return the outputs of an answer, each of the shape [n_rows]; all of them where `names` is None."""
        shape = [len(answer.predictions)]
        return [self._tensor(answer, name, shape) for name in (self._types if names is None else names)]

    def _tensor(self, answer: Answer, name: str, shape: list[int]) -> Tensor:
        datatype = self._types.get(name)
        if datatype is None:
            return Tensor(PREDICTION_ID, "BYTES", shape, list(answer.prediction_ids))
        return Tensor(name, datatype, shape, [outputs[name] for outputs in answer.predictions])


def _described(name: str, datatype: str) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [-1]}
