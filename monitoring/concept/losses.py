"""A sequential test on a stream of losses: has their mean changed? What is usual is learned from the stream itself.

Flows in: losses in order of time, in batches of any size. Flows out: a `Finding` for each change. O(1) a loss; the
state is plain JSON, and a replay of the same losses gives the same findings whatever the batches.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from flywheel.errors import DataError
from flywheel.statistics import Floats
from monitoring.concept.effects import Plan, log_shares
from monitoring.concept.evidence import EFFECTS, Path, after, path, relearned
from monitoring.concept.finding import Finding, Mean, Verdict, mean_of
from monitoring.concept.scale import LONGEST, learn
from monitoring.concept.state import COUNT, MARK, SQUARES, TOTAL, State, fresh, read_state

FEWEST = 32  # losses before the first judgement
LEARNED = 4096  # losses after which the scale stays: it is learned at 32, 64, … of them
LARGEST = 700.0  # logarithm of an e-value; math.exp overflows a little above
BATCH = 8192  # losses judged at once: 0.7 MB an array
Integers = npt.NDArray[np.int64]


class LossTest:
    """Judges one stream. After an alarm it begins anew: what follows is the new usual."""

    def __init__(
        self, plan: Plan, document: dict[str, Any] | None = None, told: Callable[[int], str] = "number {:,}".format
    ) -> None:
        """Begin, or go on from what `document()` returned.

        Args:
            plan: What the test promises.
            document: Where it stood.
            told: How sentences tell a mark.

        Raises:
            IntegrityError: The document is no state of a test.
        """
        self.plan, self._told = plan, told
        self._state = fresh() if document is None else read_state(document)
        self._shares = log_shares(plan.rises)
        self._threshold = math.log(plan.per_false_alarm)

    def document(self) -> dict[str, Any]:
        """Return where it stands as plain JSON."""
        return self._state.document()

    def observe(self, losses: Floats, marks: Integers | None = None) -> tuple[Finding, ...]:
        """Judge the next losses and return the alarms among them, in order.

        Args:
            losses: (n_losses,), in order of time, none missing.
            marks: What the caller knows each by, such as days or microseconds since 1970, (n_losses,); their number in
                the stream unless given.

        Raises:
            DataError: A loss is no finite number, or lies outside the plan's bounds; nothing was judged.
        """
        values = np.asarray(losses, dtype=np.float64)
        self._refuse(values)
        if marks is None:
            marks = self._state.begun + self._state.seen + 1 + np.arange(len(values))
        found: list[Finding] = []
        while len(values):
            length = min(self._room(), len(values))
            used, finding = self._judge(values[:length], marks[:length])
            values, marks = values[used:], marks[used:]
            if finding is not None:
                found.append(finding)
        return tuple(found)

    def finding(self) -> Finding:
        """Return how things stand now: learning, or steady (after an alarm the test has begun anew)."""
        state, learning = self._state, self._state.scale is None
        so_far = self._mean(state.tally)
        sentence = (
            f"{state.seen:,} {self.plan.unit} are too few to know what {self.plan.name} is usual: {FEWEST} are needed."
            if learning
            else f"The {self.plan.name} keeps at {so_far.text(self.plan.unit)}."
        )
        return Finding(
            verdict=Verdict.LEARNING if learning else Verdict.STEADY,
            reason=sentence,
            at=state.begun + state.seen,
            since=None,
            at_mark=int(state.tally[MARK]) if state.seen else None,
            since_mark=None,
            before=so_far,
            after=None,
            e_value=self._e_value(),
            threshold=self.plan.per_false_alarm,
        )

    def _refuse(self, values: Floats) -> None:
        bad = ~np.isfinite(values)
        if self.plan.bounds is not None:
            bad |= (values < self.plan.bounds[0]) | (values > self.plan.bounds[1])
        if bad.any():
            place = int(np.argmax(bad))
            raise DataError(
                f"Loss {place + 1} of the batch is {values[place]}, which no {self.plan.name} can be. "
                "Leave rows without an outcome out, and correct the others."
            )

    def _room(self) -> int:
        """Return how many losses come before the scale is learned again, or make a batch."""
        seen = self._state.seen
        if seen >= LEARNED:
            return BATCH
        return int(max(FEWEST, 2 ** seen.bit_length()) - seen)

    def _judge(self, values: Floats, marks: Integers) -> tuple[int, Finding | None]:
        """Take losses up to the first alarm; return how many, and the alarm."""
        state = self._state
        rows = np.column_stack([np.ones(len(values)), np.zeros(len(values)), values, values**2])
        tallies = np.concatenate([state.tally[None], state.tally + np.cumsum(rows, axis=0)])
        tallies[1:, MARK] = marks
        evidence, used, hit = state.evidence, len(values), False
        if state.scale is not None:
            line = path(evidence, state.scale.units(values, state.newest), state.learned, state.scale)
            above = self._above(line)
            used, hit = (int(np.argmax(above)) + 1, True) if above.any() else (used, False)
            evidence = after(evidence, line, used, tallies)
        buffer = np.concatenate([state.buffer, values[:used]]) if state.seen < LEARNED else state.buffer
        newest = np.concatenate([state.newest, values[:used]])[-LONGEST:]
        self._state = State(state.begun, tallies[used], newest, buffer, state.scale, evidence)
        if hit:
            return used, self._alarm()
        self._learn()
        return used, None

    def _above(self, line: Path) -> npt.NDArray[np.bool_]:
        return np.asarray(np.logaddexp.reduce(self._shares[:, None] + line.log_sums) >= self._threshold)

    def _learn(self) -> None:
        """Learn the scale where its turn has come; from the last time on the losses are forgotten."""
        state = self._state
        if state.seen < FEWEST or state.seen > LEARNED or state.seen & (state.seen - 1):
            return
        scale = learn(state.buffer, self.plan.bounds, whiten=self.plan.whiten)
        first = len(scale.memory)
        evidence = relearned(state.evidence, scale.units(state.buffer[first:], state.buffer[:first]))
        if state.scale is None:
            evidence = replace(evidence, starts=np.tile(state.tally, (len(EFFECTS), 1)))
        buffer = state.buffer if state.seen < LEARNED else np.empty(0)
        self._state = replace(state, buffer=buffer, scale=scale, evidence=evidence)

    def _alarm(self) -> Finding:
        """Make the finding of an alarm and begin anew."""
        state = self._state
        best = int(np.argmax(self._shares + state.evidence.log_sums))
        start, rose = state.evidence.starts[best], bool(EFFECTS[best] > 0)
        parts = self._mean(start), self._mean(state.tally - start)
        since, at = state.begun + int(start[COUNT]), state.begun + state.seen
        finding = Finding(
            verdict=Verdict.WORSE if rose else Verdict.BETTER,
            reason=self._sentence(parts, int(start[MARK]), rose=rose),
            at=at,
            since=since,
            at_mark=int(state.tally[MARK]),
            since_mark=int(start[MARK]),
            before=parts[0],
            after=parts[1],
            e_value=self._e_value(),
            threshold=self.plan.per_false_alarm,
        )
        self._state = fresh(at)
        return finding

    def _e_value(self) -> float:
        return math.exp(min(float(np.logaddexp.reduce(self._shares + self._state.evidence.log_sums)), LARGEST))

    def _mean(self, tally: Floats) -> Mean:
        inflation = 1.0 if self._state.scale is None else self._state.scale.inflation
        mean = mean_of(int(tally[COUNT]), float(tally[TOTAL]), float(tally[SQUARES]), inflation=inflation)
        return mean.above_zero() if self.plan.positive else mean

    def _sentence(self, parts: tuple[Mean, Mean], since: int, *, rose: bool) -> str:
        plan, (before, later) = self.plan, parts
        return (
            f"The {plan.name} {'rose' if rose else 'fell'} from {before.text(plan.unit)} to {later.text(plan.unit)} "
            f"after {self._told(since)}; this test gives at most one false alarm in {plan.per_false_alarm:,.0f} "
            f"{plan.unit}, on average."
        )
