"""MLServer with a runtime of its own and adaptive batching: at most 256 rows, 2 ms of waiting, in one process.

A request is in the Open Inference Protocol's form, one input of shape [1, 1] a column, which is what MLServer joins.

    mlserver start FOLDER     (settings.json and model-settings.json are written there by the benchmark)
"""

from typing import Any

from mlserver import MLModel  # type: ignore[import-not-found]  # its environment is not ours
from mlserver.types import (  # type: ignore[import-not-found]
    InferenceRequest,
    InferenceResponse,
    ResponseOutput,
    TensorData,
)

from benchmarks.peers.scoring import Scoring


class Flights(MLModel):  # type: ignore[misc]
    """The runtime."""

    async def load(self) -> bool:
        """Load the model."""
        self.scoring = Scoring()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Predict a batch."""
        table = {one.name: _values(one.data) for one in payload.inputs}
        rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
        answers = self.scoring.predict(rows)
        outputs = [
            _output("probability", "FP64", [answer["probability"] for answer in answers]),
            _output("decision", "BOOL", [answer["decision"] for answer in answers]),
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)


def _values(data: TensorData) -> list[Any]:
    values = list(getattr(data, "root", data))
    flat = [value[0] if isinstance(value, list) else value for value in values]
    return [value.decode() if isinstance(value, bytes) else value for value in flat]


def _output(name: str, kind: str, values: list[Any]) -> ResponseOutput:
    return ResponseOutput(name=name, shape=[len(values), 1], datatype=kind, data=TensorData(values))
