"""Clients that were not written here, asking one agent: `python foreign_clients.py NAME HOST HTTP_PORT GRPC_PORT`.

A process of its own, because tritonclient's generated messages and the agent's have the same names, which protobuf
allows once in a process, and because its HTTP client brings gevent. Prints what the client got as JSON.
"""

import json
import sys
from typing import Any

import numpy as np

AT = np.array([["2013-01-01T05:00:00Z"], ["2013-01-01T06:00:00+01:00"]], dtype=object)
COLUMNS: dict[str, tuple[Any, str]] = {
    "at": (AT, "BYTES"),
    "chance": (np.array([[0.25], [0.75]]), "FP64"),
    "count": (np.array([[3], [4]], dtype=np.int32), "INT32"),
    "gap": (np.array([[np.nan], [1.5]], dtype=np.float32), "FP32"),
    "mood": (np.array([["calm"], ["wïld"]], dtype=object), "BYTES"),
}


def mlflow_client(host: str, http_port: int, grpc_port: int) -> dict[str, Any]:
    """Ask with the client that MLflow itself uses for its scoring servers."""
    import pandas as pd  # noqa: PLC0415  # only this client brings it
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient  # noqa: PLC0415

    client = ScoringServerClient(host, http_port)
    client.wait_server_ready(timeout=30)
    frame = pd.DataFrame({name: [value for (value,) in values] for name, (values, _) in COLUMNS.items()})
    # JSON has no NaN, and MLflow's own writer writes one: null is what a missing number is sent as.
    frame = frame.astype({"gap": object}).replace({np.nan: None})
    answer = client.invoke(frame).get_predictions()
    return {"version": client.get_version(), "probability": answer["probability"].tolist()}


def triton_http(host: str, http_port: int, grpc_port: int) -> dict[str, Any]:
    """Ask with tritonclient over HTTP: health, metadata, JSON tensors and binary ones, both ways."""
    import tritonclient.http as triton  # noqa: PLC0415  # brings gevent

    with triton.InferenceServerClient(f"{host}:{http_port}") as client:
        asked = [(binary, out) for binary in (False, True) for out in (False, True)]
        answers = {
            f"{'binary' if binary else 'json'} to {'binary' if out else 'json'}": _infer(
                triton, client, {"binary_data": binary}, {"binary_data": out}, skip_nan=not binary
            )
            for binary, out in asked
        }
        return _described(client) | {"answers": answers, "refused": _refusal(triton, client)}


def triton_grpc(host: str, http_port: int, grpc_port: int) -> dict[str, Any]:
    """Ask with tritonclient over gRPC: health, metadata, raw tensors."""
    import tritonclient.grpc as triton  # noqa: PLC0415  # its messages exclude those of the agent

    with triton.InferenceServerClient(f"{host}:{grpc_port}") as client:
        answers = {"raw": _infer(triton, client, {}, {}, skip_nan=False)}
        metadata = client.get_model_metadata("tiny", "1", as_json=True)
        return _described(client, metadata) | {"answers": answers, "refused": _refusal(triton, client)}


def _described(client: Any, metadata: Any = None) -> dict[str, Any]:
    described = metadata or client.get_model_metadata("tiny", "1")
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model ready": client.is_model_ready("tiny", "1"),
        "inputs": {entry["name"]: entry["datatype"] for entry in described["inputs"]},
        "outputs": {entry["name"]: entry["datatype"] for entry in described["outputs"]},
    }


def _infer(triton: Any, client: Any, how: dict[str, bool], out: dict[str, bool], *, skip_nan: bool) -> dict[str, Any]:
    inputs = []
    for name, (values, datatype) in COLUMNS.items():
        tensor = triton.InferInput(name, list(values.shape), datatype)
        # NaN is a value of a binary tensor, and none of JSON's.
        tensor.set_data_from_numpy(np.nan_to_num(values) if skip_nan and name == "gap" else values, **how)
        inputs.append(tensor)
    wanted = [triton.InferRequestedOutput("probability", **out)]
    result = client.infer("tiny", inputs, model_version="1", request_id="r-9", outputs=wanted)
    response = result.get_response()
    request_id = response["id"] if isinstance(response, dict) else response.id
    return {"probability": result.as_numpy("probability").tolist(), "id": request_id}


def _refusal(triton: Any, client: Any) -> str:
    tensor = triton.InferInput("chance", [1], "FP64")
    tensor.set_data_from_numpy(np.array([0.5]))
    try:
        client.infer("tiny", [tensor])
    except triton.InferenceServerException as fault:
        return f"{fault.status()}: {fault.message()}"
    return ""


CLIENTS = {"mlflow": mlflow_client, "triton-http": triton_http, "triton-grpc": triton_grpc}

if __name__ == "__main__":
    name, host, *ports = sys.argv[1:]
    sys.stdout.write(json.dumps(CLIENTS[name](host, *map(int, ports))))
