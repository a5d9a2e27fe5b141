"""Which gates there are: our own, and others' by entry point. One that cannot be loaded leaves the rest alone."""

from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points

from flywheel.limits import Limits
from registry.gates.calibration import Calibration
from registry.gates.card import Card
from registry.gates.champion import Champion
from registry.gates.evidence import Measurement
from registry.gates.gate import Candidate, Gate, UnmeasurableError
from registry.gates.latency import Latency
from registry.gates.licences import Licences
from registry.gates.memory import Memory
from registry.gates.metrics import Metrics
from registry.gates.onnx import Onnx
from registry.gates.robustness import Robustness
from registry.gates.signature import Signature
from registry.gates.size import Size
from registry.gates.skew import Skew
from registry.gates.slices import Slices

GROUP = "flywheel.gates"

# In the order in which they are measured: what needs no server first, while the server starts; latency alone on the
# machine, and memory after it.
OWN: tuple[Gate, ...] = (
    Size(),
    Card(),
    Licences(),
    Metrics(),
    Calibration(),
    Slices(),
    Champion(),
    Signature(),
    Skew(),
    Onnx(),
    Robustness(),
    Latency(),
    Memory(),
)
ASKING = frozenset({"signature", "skew", "onnx", "robustness", "latency", "memory"})  # need the candidate's server


class Broken:
    """Stands for a gate that cannot be loaded: could not run, with the reason."""

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.title, self._reason = name, name, reason

    def measure(self, candidate: Candidate, limits: Limits) -> Measurement:
        """Say why there is no such gate."""
        raise UnmeasurableError(self._reason)


def find_gates(points: Iterable[EntryPoint] | None = None) -> Mapping[str, Gate]:
    """Return all gates by name, ours first; `points` are the installed entry points by default.

    A gate of others under the name of one of ours, or of one before it, is left out: evidence names the gate alone.
    """
    found: dict[str, Gate] = {gate.name: gate for gate in OWN}
    for point in sorted(entry_points(group=GROUP) if points is None else points, key=lambda one: one.name):
        if point.name not in found:
            found[point.name] = _load(point)
    return found


def choose_gates(names: Iterable[str], known: Mapping[str, Gate]) -> list[Gate]:
    """Return gates in the order in which they are measured; a name that is not known gives a broken one."""
    wanted = dict.fromkeys(names)
    chosen = [gate for name, gate in known.items() if name in wanted]
    reason = "No gate of the name '{}' is installed here. Install the package that brings it, or correct the policy."
    return chosen + [Broken(name, reason.format(name)) for name in wanted if name not in known]


def _load(point: EntryPoint) -> Gate:
    try:
        made = point.load()
        gate = made() if isinstance(made, type) else made
    except Exception as fault:  # noqa: BLE001  # others' code may raise anything while it is imported
        return Broken(point.name, f"Gate '{point.name}' ({point.value}) cannot be loaded: {_line(fault)}.")
    if not isinstance(gate, Gate):
        return Broken(point.name, f"Gate '{point.name}' ({point.value}) lacks name, title or measure. Add them.")
    if gate.name != point.name:
        return Broken(point.name, f"Gate '{point.name}' ({point.value}) calls itself '{gate.name}'. Use one name.")
    return gate


def _line(fault: Exception) -> str:
    return f"{type(fault).__name__}: {(str(fault).strip() or 'no message').splitlines()[0].rstrip('.')[:200]}"
