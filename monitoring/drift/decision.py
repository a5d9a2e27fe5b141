"""The verdict on some blocks: drift, quiet, or not to be decided yet; with what moved, since when and by how much.

A decision is a function of two profiles and the settings, so the same record gives the same decision again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from flywheel.errors import DataError
from flywheel.monitor_spec import Drift
from flywheel.profiling.series import Series
from monitoring.drift.moved import Moved
from monitoring.drift.order import written
from monitoring.drift.streams import SOURCES, Source
from monitoring.drift.watch import LEAST_BLOCKS, Look, Watch, learn
from monitoring.drift.wording import reason_of


class Verdict(StrEnum):
    """What a decision says."""

    QUIET = "quiet"
    """Nothing that chance does not explain within the budget."""
    DRIFT = "drift"
    """At least one alarm in the blocks asked about, or a column that vanished or changed type."""
    UNDECIDED = "not yet"
    """Too little reference, or no rows to judge."""


@dataclass(frozen=True)
class DriftDecision:
    """A verdict and its reasons.

    Args:
        verdict: Drift, quiet, or not yet.
        reason: What was found, in a sentence or two: of several alarms the newest, which the record all has.
        settings: Budget, least effect, and what is left out.
        threshold: E-value at which there is an alarm; None without a watch.
        looks: The blocks judged, in order of time.
        nearest: Without an alarm in the last block, the streams with most evidence.
        notes: What the reference cannot tell.
    """

    verdict: Verdict
    reason: str
    settings: Drift
    threshold: float | None = None
    looks: tuple[Look, ...] = ()
    nearest: tuple[Moved, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def alarms(self) -> tuple[Look, ...]:
        """The blocks that raised an alarm."""
        return tuple(look for look in self.looks if look.alarm)

    @property
    def e_value(self) -> float:
        """The greatest of the blocks judged, 0 without any."""
        return max((look.e_value for look in self.looks), default=0.0)

    def body(self) -> dict[str, Any]:
        """Return the decision as plain JSON values."""
        return {
            "verdict": self.verdict.value,
            "reason": self.reason,
            "settings": self.settings.model_dump(mode="json"),
            "e_value": self.e_value,
            "threshold": self.threshold,
            "alarms": [_alarm(look) for look in self.alarms],
            "nearest": [one.body() for one in self.nearest],
            "changes": [
                {"block": written(look.start), "column": change.column, "fault": change.fault}
                for look in self.looks
                for change in look.changes
            ],
            "unseen": [{"block": written(look.start), "holidays": list(look.unseen)} for look in self.unseen],
            "notes": list(self.notes),
            "blocks": [
                {"start": written(look.start), "rows": look.rows, "e_value": look.e_value, "alarm": look.alarm}
                for look in self.looks
            ],
        }

    @property
    def unseen(self) -> tuple[Look, ...]:
        """The blocks with holidays that the reference has not seen."""
        return tuple(look for look in self.looks if look.unseen)


def judge(
    reference: Series,
    live: Series,
    settings: Drift,
    *,
    sources: Mapping[str, Source] = SOURCES,
    seasons: bool = True,
) -> DriftDecision:
    """Judge all blocks of a live series against a reference.

    Args:
        reference: Series on its own scale.
        live: Series on the reference's scale, later than it.
        settings: Budget, least effect, country, columns that are left out.
        sources: Of what a column tells, by its name; inputs are not listed.
        seasons: Whether times are times, and not merely an order.

    Raises:
        DataError: The live series is on another scale, has blocks of another length, or does not follow the reference.
    """
    if (live.scale, live.every) != (reference.scale, reference.every):
        raise DataError("The windows are not on the scale of the reference. Profile them with its scale and blocks.")
    if len(reference.blocks) < LEAST_BLOCKS:
        return undecided(
            f"The reference has {len(reference.blocks)} blocks of {LEAST_BLOCKS} that it takes to know what is usual.",
            settings,
        )
    watch = learn(reference, settings, sources=sources, seasons=seasons)
    ends = (live.blocks[0], live.blocks[-1]) if live.blocks else ()  # they may be cut
    return decide(watch, [watch.take(block, whole=block not in ends) for block in live.blocks])


def decide(watch: Watch, looks: Sequence[Look]) -> DriftDecision:
    """Say what the looks of some blocks, the newest that `watch` has taken, come to."""
    if not looks:
        return undecided("There are no rows to judge.", watch.settings)
    alarms, changes = [look for look in looks if look.alarm], [change for look in looks for change in look.changes]
    return DriftDecision(
        Verdict.DRIFT if alarms or changes else Verdict.QUIET,
        reason_of(looks, watch.threshold, watch.settings.false_alarms_per_year),
        watch.settings,
        watch.threshold,
        tuple(looks),
        () if looks[-1].alarm else watch.ranked(looks[-1].start),
        _notes(watch),
    )


def undecided(reason: str, settings: Drift) -> DriftDecision:
    """Return the decision that none can be made yet."""
    return DriftDecision(Verdict.UNDECIDED, reason, settings)


def _notes(watch: Watch) -> tuple[str, ...]:
    calendar, notes = watch.calendar, list[str]()
    if calendar.weekdays and not calendar.yearly:
        span = watch.reference[-1] - watch.reference[0] + calendar.every
        notes.append(
            f"The reference spans {span.days} days, so a season of the year and a trend count as changes; one that"
            " spans a year teaches them."
        )
    if calendar.weekdays and not calendar.holidays:
        notes.append("Public holidays are days like others: name a country, and they have an effect of their own.")
    return tuple(notes)


def _alarm(look: Look) -> dict[str, Any]:
    return {
        "block": written(look.start),
        "e_value": look.e_value,
        "since": written(min(one.since for one in look.moved)) if look.moved else written(look.start),
        "moved": [one.body() for one in look.moved],
    }
