"""Whether this agent may get traffic: the example was scored, its scorer answers, and records can be written."""

import asyncio
from collections.abc import Callable

import structlog

from deploy.agent.backends.backend import Backend, ScorerError, ScorerUnreachableError
from flywheel.contract import ValidRow

PERIOD_SECONDS = 1.0
ANSWER_SECONDS = 2.0
# The first call imports and compiles; later ones take milliseconds.
WARM_UP_SECONDS = 60.0
# One missed ping may be a scorer that is busy with a large batch.
MISSES = 2

log = structlog.get_logger()


class Health:
    """A state that a background task refreshes every second, so that asking for it costs nothing."""

    def __init__(self, scorer: Backend, example: list[ValidRow], can_record: Callable[[], bool] = lambda: True) -> None:
        self._can_record = can_record
        self._records = True
        self._scorer = scorer
        self._example = example
        self._warm = False
        self._misses = 0
        self.draining = False
        self.reason = ""  # why a scorer that answers is not ready; '' when it is, or does not answer

    @property
    def ready(self) -> bool:
        """Whether traffic is welcome."""
        return self._warm and self._records and not self.draining

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(PERIOD_SECONDS)

    async def refresh(self) -> None:
        """Look once: whether records can be written; warm up a cold scorer, ping a warm one."""
        if self._can_record() != self._records:
            self._records = not self._records
            log.warning("records can be written" if self._records else "records cannot be written")
        if not self._warm:
            self._warm = await self._warm_up()
        elif await self._scorer.answers(ANSWER_SECONDS):
            self._misses = 0
        else:
            self._misses += 1
            if self._misses >= MISSES:
                log.warning("scorer does not answer")
                self._warm = False

    async def _warm_up(self) -> bool:
        if not await self._scorer.answers(ANSWER_SECONDS):
            self.reason = ""
            return False
        try:
            answers = await self._scorer.score(self._example, WARM_UP_SECONDS)
        except (ScorerError, ScorerUnreachableError) as fault:
            return self._cold(f"The package's example cannot be scored: {fault}", getattr(fault, "detail", ""))
        if any(answer is None for answer in answers):
            return self._cold("The package's example gets no answer that keeps the contract.")
        log.info("warm")
        self.reason = ""
        self._misses = 0
        return True

    def _cold(self, reason: str, detail: str = "") -> bool:
        """Remember why the model is not ready, and log it once."""
        if reason != self.reason:
            log.warning("not ready", reason=reason, **({"detail": detail} if detail else {}))
        self.reason = reason
        return False
