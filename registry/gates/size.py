"""Gate: is the package small enough to be moved and loaded?"""

from flywheel.limits import Limits
from registry.gates.evidence import Measurement
from registry.gates.gate import Candidate, judged
from registry.gates.processes import MEGABYTE

SHOWN = 3


class Size:
    """Measures all files of the folder together, in MB of 10⁶ bytes."""

    name = "size"
    title = "Size of the package"

    def measure(self, candidate: Candidate, limits: Limits) -> Measurement:
        """Add the files up."""
        sizes = {
            path.relative_to(candidate.folder).as_posix(): path.stat().st_size
            for path in candidate.folder.rglob("*")
            if path.is_file()
        }
        total, limit = sum(sizes.values()) / MEGABYTE, limits.size_mb
        largest = sorted(sizes.items(), key=lambda item: -item[1])[:SHOWN]
        most = f"the largest, {largest[0][0]}, has {largest[0][1] / MEGABYTE:.2f} MB" if largest else "none"
        return judged(
            limit is None or total <= limit,
            f"The package has {total:.2f} MB in {len(sizes)} files; {most}.",
            value=round(total, 3),
            limit=limit,
            unit="MB",
            details={"largest": dict(largest)},
        )
