"""tritonclient asks through the gateway: `python -m tests.deploy.gateway.foreign_grpc ADDRESS CA_FILE AUTHORIZATION`.

A process of its own: tritonclient's messages and the agent's have the same names. Prints as JSON what it got.
"""

import json
import sys
from typing import Any

import tritonclient.grpc as triton

from tests.deploy.agent.foreign_clients import COLUMNS


def ask(address: str, authority: str, authorization: str) -> dict[str, Any]:
    """Infer once over TLS; return the outputs, or the status and the sentence of the refusal."""
    headers = {"flywheel-use-case": "tiny"} | ({"authorization": authorization} if authorization else {})
    inputs = []
    for name, (values, datatype) in COLUMNS.items():
        inputs.append(triton.InferInput(name, list(values.shape), datatype))
        inputs[-1].set_data_from_numpy(values)
    with triton.InferenceServerClient(address, ssl=True, root_certificates=authority) as client:
        try:
            result = client.infer("tiny", inputs, headers=headers, client_timeout=20)
        except triton.InferenceServerException as fault:
            return {"status": fault.status(), "message": fault.message()}
        return {"probability": result.as_numpy("probability").tolist()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(ask(*sys.argv[1:])))
