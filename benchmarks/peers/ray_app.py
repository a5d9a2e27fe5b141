"""Ray Serve with `serve.batch`: at most 256 rows, 2 ms of waiting, one replica, Ray's own HTTP proxy.

python ray_app.py PORT
"""

import signal
import sys
from typing import Any

import ray  # type: ignore[import-not-found]  # its environment is not ours
from ray import serve
from starlette.requests import Request

from benchmarks.peers.scoring import Scoring


@serve.deployment(num_replicas=1, max_ongoing_requests=1024, ray_actor_options={"num_cpus": 1})
class Flights:
    """The deployment."""

    def __init__(self) -> None:
        self.scoring = Scoring()

    @serve.batch(max_batch_size=256, batch_wait_timeout_s=0.002)  # type: ignore[untyped-decorator]
    async def batch(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Predict a batch."""
        return self.scoring.predict(rows)

    async def __call__(self, request: Request) -> dict[str, Any]:
        """Answer one request of one row; without a body, that it is there."""
        if request.method != "POST":
            return {"ready": True}
        row = (await request.json())["dataframe_records"][0]
        return {"predictions": [await self.batch(row)]}


if __name__ == "__main__":
    quiet = {"enable_access_log": False, "log_level": "ERROR"}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])}, logging_config=quiet)
    serve.run(Flights.bind(), route_prefix="/")  # type: ignore[attr-defined]
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    try:
        signal.pause()
    finally:
        ray.shutdown()
