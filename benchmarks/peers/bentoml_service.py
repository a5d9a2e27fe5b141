"""BentoML with its adaptive batching: at most 256 rows, 100 ms of latency as the aim, one worker.

bentoml serve bentoml_service:Flights
"""

from typing import Any

import bentoml  # type: ignore[import-not-found]  # its environment is not ours

from benchmarks.peers.scoring import Scoring


@bentoml.service(
    workers=1,
    traffic={"timeout": 60, "max_concurrency": 1024},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class Flights:
    """The service."""

    def __init__(self) -> None:
        self.scoring = Scoring()

    @bentoml.api(batchable=True, batch_dim=0, max_batch_size=256, max_latency_ms=1000, route="/invocations")  # type: ignore[untyped-decorator]
    def invocations(self, dataframe_records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Predict a batch."""
        return self.scoring.predict(dataframe_records)
