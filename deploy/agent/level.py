"""By how much a version's answers are moved between trainings, as monitoring's file says and its package allows.

The file is looked at once a second, beside the requests; a new one that is not believed changes nothing, and what no
look renews fades (see `flywheel.recalibration`). All answers that finish together are moved by the same shift.
"""

import asyncio
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from deploy.agent.backends.constant import decision_threshold
from deploy.agent.batching import Failure, Outcome
from deploy.agent.outputs import PROBABILITY, Outputs
from deploy.agent.recording import Finished, Identity
from deploy.agent.telemetry.metrics import Metrics
from flywheel.errors import FlywheelError, IntegrityError, SpecError
from flywheel.monitor_spec import Recalibrate
from flywheel.package import INSIDE
from flywheel.recalibration import LEAST, MOST, Recalibrated, moved, read_key, weight
from flywheel.usecase import load_usecase

PERIOD_SECONDS = 1.0
DECISION = "decision"

log = structlog.get_logger()


class Level:
    """The shift that counts now, and what it makes of answers.

    Args:
        identity: Whose answers.
        allowed: What the version's package allows.
        threshold: From which probability on the version decides for yes; None: it decides nothing.
        file: Where monitoring writes.
        key: The file of the key that it signs with.
        metrics: Is told of the shift and of what was refused.
    """

    def __init__(
        self,
        identity: Identity,
        allowed: Recalibrate,
        threshold: float | None,
        *,
        file: Path,
        key: Path,
        metrics: Metrics | None = None,
    ) -> None:
        self._identity, self._allowed, self._threshold = identity, allowed, threshold
        self._file, self._key, self._metrics = file, key, metrics
        self._log = log.bind(use_case=identity.use_case, version=identity.version)
        self._seen: tuple[int, int, int] | None = None
        self._held: Recalibrated | None = None
        self._shift, self._against = 0.0, 1.0

    @property
    def shift(self) -> float:
        """What the log-odds of answers are moved by."""
        return self._shift

    def moved(self, finished: Finished) -> tuple[Finished, float]:
        """Return what finished with its answers moved, and by how much."""
        if not self._shift:
            return finished, 0.0
        return [(job, self._outcome(outcome)) for job, outcome in finished], self._shift

    def look(self, now: datetime) -> None:
        """Read the file if it is another than before, and work out what counts now (UTC)."""
        try:
            status = self._file.stat()
            state = (status.st_mtime_ns, status.st_ino, status.st_size)
        except OSError:
            state = None  # none was written yet; one that was taken away fades as if nobody renewed it
        if state is not None and state != self._seen:
            self._seen = state
            self._take(now)
        self._count(now)

    async def run(self) -> None:
        """Look once a second until cancelled."""
        while True:
            await asyncio.sleep(PERIOD_SECONDS)
            self.look(datetime.now(UTC))

    def _take(self, now: datetime) -> None:
        try:
            found = Recalibrated.read(self._file, read_key(self._key))
            self._check(found, now)
        except (FlywheelError, OSError) as fault:
            self._log.error("a recalibration is refused", reason=str(fault), still_moved_by=self._shift)
            if self._metrics is not None:
                self._metrics.shift_refused()
            return
        if self._held is None or found.shift != self._held.shift:
            self._log.info("answers are recalibrated", shift=found.shift, as_of=found.as_of.isoformat())
        self._held = found

    def _check(self, found: Recalibrated, now: datetime) -> None:
        own = self._identity
        if (found.use_case, found.version, found.digest) != (own.use_case, own.version, own.digest):
            raise IntegrityError(f"Recalibration {self._file} is of another version or package. Remove it.")
        found.check(self._allowed.most, now)
        if weight(now - found.made, self._allowed.lasts) == 0:
            raise IntegrityError(f"Recalibration {self._file} of {found.made:%Y-%m-%d %H:%M} is long over.")

    def _count(self, now: datetime) -> None:
        held = self._held
        counts = 1.0 if held is None else weight(now - held.made, self._allowed.lasts)
        shift = 0.0 if held is None else held.shift * counts
        if shift != self._shift:
            self._shift, self._against = shift, math.exp(-shift)
        if self._metrics is not None:
            self._metrics.moves(shift, counts)

    def _outcome(self, outcome: Outcome) -> Outcome:
        return outcome if isinstance(outcome, Failure) else [self._outputs(one) for one in outcome]

    def _outputs(self, outputs: Outputs) -> Outputs:
        # Once an answer: the copy and the formula are half a microsecond, and `min` and `max` would be another quarter.
        probability: Any = outputs[PROBABILITY]
        if not LEAST <= probability <= MOST:
            probability = LEAST if probability < LEAST else MOST
        now = moved(probability, self._against)
        if self._threshold is None:
            return {**outputs, PROBABILITY: now}
        return {**outputs, PROBABILITY: now, DECISION: now >= self._threshold}


def level_of(
    package: Path, identity: Identity, outputs: list[str], files: tuple[Path | None, Path | None], metrics: Metrics
) -> Level | None:
    """Return what moves a version's answers; None where its package does not allow it.

    Args:
        package: Its folder.
        identity: Whose answers.
        outputs: Names of what it answers.
        files: Where the shift and its key lie; without both nothing is moved.
        metrics: Is told of it.
    """
    file, key = files
    if file is None or key is None or PROBABILITY not in outputs:
        return None
    path = package / INSIDE / "usecase.yaml"
    try:
        allowed = load_usecase(path).monitor.recalibrate if path.is_file() else None
    except SpecError as fault:  # of a release that knows more: the version serves, as it was trained
        log.warning("answers are not recalibrated", reason=str(fault), version=identity.version)
        return None
    threshold = decision_threshold(package)
    if allowed is not None and DECISION in outputs and threshold is None:
        log.warning("answers are not recalibrated", reason="decision.json names no threshold", version=identity.version)
        return None
    if allowed is None:
        return None
    threshold = threshold if DECISION in outputs else None
    return Level(identity, allowed, threshold, file=file, key=key, metrics=metrics)
