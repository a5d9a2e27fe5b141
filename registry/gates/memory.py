"""Gate: how much memory does a served version take?"""

from flywheel.limits import Limits
from registry.gates.evidence import Measurement
from registry.gates.gate import Candidate, judged
from registry.gates.latency import single_questions


class Memory:
    """Adds up the processes of `mlflow models serve` with one worker after it has answered."""

    name = "memory"
    title = "Memory of the server"

    def measure(self, candidate: Candidate, limits: Limits) -> Measurement:
        """Ask once, so that the model is in memory, and look."""
        candidate.server.ask(single_questions(candidate)[0])
        used, limit = candidate.server.memory_mb(), limits.memory_mb
        return judged(
            limit is None or used <= limit,
            f"MLflow's server with one worker takes {used:.0f} MB, the model loaded and in use.",
            value=round(used, 1),
            limit=limit,
            unit="MB",
        )
