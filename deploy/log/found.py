"""What the log knows of one prediction: its record, what the gateway answered, and what became true."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deploy.log.belonging import outcomes_of
from flywheel.appended import COMMIT
from flywheel.storage import PredictionLog


@dataclass(frozen=True)
class Found:
    """A prediction with what belongs to it; `requests` and `outcomes` are empty while nothing is known.

    Outcomes say how they were joined: see `deploy.log.belonging`.
    """

    use_case: str
    record: dict[str, Any]
    requests: list[dict[str, Any]]
    outcomes: list[dict[str, Any]]

    def document(self) -> dict[str, Any]:
        """Return it for people and machines: without what is of the log and of other versions alone."""
        record = {name: value for name, value in self.record.items() if name != COMMIT}
        for name in ("inputs", "outputs"):
            fields = (record[name] or {}).items()
            record[name] = {key.split("__")[0]: value for key, value in fields if value is not None}
        requests = [{name: value for name, value in line.items() if name != COMMIT} for line in self.requests]
        return {**record, "use_case": self.use_case, "requests": requests, "outcomes": self.outcomes}


def find(log: PredictionLog, prediction_id: str, as_of: datetime) -> Found | None:
    """Look a prediction up in the logs of all use cases; None where none has it. `as_of` (naive UTC) is now."""
    for use_case in log.use_cases():
        record = log.find(use_case, prediction_id)
        if record is not None:
            requests = log.requests_of(use_case, record["request_id"], record["recorded_time"]).to_dicts()
            return Found(use_case, record, requests, outcomes_of(log, use_case, record, as_of))
    return None
