"""What scores rows: the one protocol that the agent's data plane speaks to."""

from types import TracebackType
from typing import Protocol, Self

from deploy.agent.outputs import Outputs
from flywheel.contract import ValidRow
from flywheel.errors import FlywheelError, TransientError


class ScorerError(FlywheelError):
    """The model answered, but not with a prediction for every row: one of the rows may be the reason.

    Args:
        message: For whoever asked.
        detail: What the model said, for the log alone: it may hold data, or how the model is made.
    """

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class ScorerUnreachableError(TransientError):
    """The model did not answer in time, or not at all: no row is to blame."""


class Backend(Protocol):
    """One version's model, used as an async context. `answers` may be asked at any time.

    Attributes:
        width: How many tasks may call `score` at once with profit.
        remote: The model is in another process, so that this one has time while it scores.
    """

    width: int
    remote: bool

    async def __aenter__(self) -> Self:
        """Open what is needed; the model need not answer yet."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        ...

    async def score(self, rows: list[ValidRow], timeout: float, traceparent: str | None = None) -> list[Outputs | None]:
        """Return the outputs of each row (n_rows), None where the model gave none that keep the contract.

        Args:
            rows: The batch.
            timeout: Seconds.
            traceparent: Of the span in which a server is asked, if the batch is traced.

        Raises:
            ScorerError: It refused the batch or answered something else.
            ScorerUnreachableError: No answer within `timeout` seconds.
        """
        ...

    async def answers(self, timeout: float) -> bool:
        """Say whether the model is there, within `timeout` seconds."""
        ...
