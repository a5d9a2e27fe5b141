"""LitServe with batching: at most 256 requests, 2 ms of waiting, one worker, its fast queue (ZeroMQ).

python litserve_server.py PORT
"""

import sys
from typing import Any

import litserve as ls  # type: ignore[import-not-found]  # its environment is not ours

from benchmarks.peers.scoring import Scoring


class Flights(ls.LitAPI):  # type: ignore[misc]
    """The model."""

    def setup(self, device: str) -> None:
        """Load it in the worker's process."""
        self.scoring = Scoring()

    def decode_request(self, request: dict[str, Any]) -> dict[str, Any]:
        """Take the one row of a request."""
        row: dict[str, Any] = request["dataframe_records"][0]
        return row

    def batch(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Keep the rows as they are."""
        return inputs

    def predict(self, x: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Predict a batch."""
        return self.scoring.predict(x)

    def unbatch(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Keep the answers as they are."""
        return output

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """Answer in MLflow's form."""
        return {"predictions": [output]}


if __name__ == "__main__":
    api = Flights(max_batch_size=256, batch_timeout=0.002, api_path="/invocations")
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=60, fast_queue=True)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
