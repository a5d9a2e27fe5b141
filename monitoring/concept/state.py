"""Where a test stands, as plain JSON: all that it needs to go on with the next batch, whoever made the last one."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from flywheel.errors import IntegrityError
from flywheel.statistics import Floats
from monitoring.concept.evidence import Evidence, begin
from monitoring.concept.scale import Scale

COUNT, MARK, TOTAL, SQUARES = range(4)  # of a tally: losses, the newest one's mark, their sum, the sum of their squares


@dataclass(frozen=True)
class State:
    """Where a test stands.

    Attributes:
        begun: Losses before this baseline began: 0, or those up to the last alarm.
        tally: Of the losses since, (4,).
        newest: The newest losses, as many as may be remembered, in order of time.
        buffer: All losses since, in order, while the scale is still learned; empty afterwards.
        scale: None until there are enough losses to learn it.
        evidence: One number an effect.
    """

    begun: int
    tally: Floats
    newest: Floats
    buffer: Floats
    scale: Scale | None
    evidence: Evidence

    @property
    def seen(self) -> int:
        """Losses since the baseline began."""
        return int(self.tally[COUNT])

    @property
    def learned(self) -> int:
        """Innovations in the evidence: those of losses with enough before them."""
        return self.seen - (0 if self.scale is None else len(self.scale.memory))

    def document(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "begun": self.begun,
            "tally": self.tally.tolist(),
            "newest": self.newest.tolist(),
            "buffer": self.buffer.tolist(),
            "scale": None if self.scale is None else asdict(self.scale),
            "evidence": {name: value.tolist() for name, value in vars(self.evidence).items()},
        }


def fresh(begun: int = 0) -> State:
    """Return the state before the first loss of a baseline."""
    return State(begun, np.zeros(4), np.empty(0), np.empty(0), None, begin())


def read_state(document: dict[str, Any]) -> State:
    """Read what `State.document` returned.

    Raises:
        IntegrityError: It is something else.
    """
    try:
        scale, shapes = document["scale"], begin()
        evidence = {name: np.array(document["evidence"][name], dtype=np.float64) for name in vars(shapes)}
        state = State(
            begun=int(document["begun"]),
            tally=np.array(document["tally"], dtype=np.float64),
            newest=np.array(document["newest"], dtype=np.float64),
            buffer=np.array(document["buffer"], dtype=np.float64),
            scale=None if scale is None else Scale(**scale),
            evidence=Evidence(**evidence),
        )
        if state.tally.shape != (4,) or any(evidence[name].shape != vars(shapes)[name].shape for name in evidence):
            raise ValueError("its arrays have other shapes")
    except (KeyError, TypeError, ValueError) as fault:
        raise IntegrityError(
            f"The stored state of a loss test cannot be read ({fault}). Delete it: the test begins anew from the log."
        ) from fault
    return state
