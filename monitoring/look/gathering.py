"""All that a look has found as findings, for alerts; pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from flywheel.alerts import Alert, Finding
from flywheel.events import Event
from flywheel.usecase import UseCase
from monitoring.look import findings as say
from monitoring.look.alarms import closed_before, of_drift, standing_drift, unanswered
from monitoring.look.columns import of_columns, of_missing, told_before
from monitoring.look.looked import Looked
from monitoring.look.recalibrating import findings_of
from monitoring.performance.harm import Verdict
from monitoring.rows.question import Asked


@dataclass(frozen=True)
class Scene:
    """What findings refer to.

    Attributes:
        use_case: Whose look it is.
        champion: The version that answered most lately; '' where nobody was.
        asked: Writes commands that show rows.
        begin: Of the newest rows (naive UTC).
        recent: Since when something that is over is told.
        standing: Alerts that are open.
        known: Events of alerts, in order.
        log: The folder of the use case's log.
    """

    use_case: UseCase
    champion: str
    asked: Asked
    begin: datetime
    recent: datetime
    standing: Sequence[Alert]
    known: Sequence[Event]
    log: Path


def gather(looked: Looked, scene: Scene) -> list[Finding]:
    """Return all findings of a look; of two of one kind and key the first counts."""
    then = looked.decision.next_sentence if looked.decision else "Nothing is trained by this look."
    found = [*_of_blocks(looked, scene), *_of_losses(looked, scene, then), *_of_rows(looked, scene)]
    at, file = scene.asked.until, scene.asked.file
    found += say.of_outcomes(looked.update.claims, at, scene.asked)
    found += say.of_files(looked.update.quarantined, at, scene.log)
    found += findings_of(looked.recalibrated, scene.begin, scene.asked)
    found += say.of_failures(looked.failures, at, file)
    return found


def _of_blocks(looked: Looked, scene: Scene) -> Iterator[Finding]:
    standing, recent, asked = scene.standing, scene.recent, scene.asked
    block = scene.use_case.monitor.drift.block
    for version, decision in looked.drift.items():
        drifted = of_drift(decision, version, standing, recent=recent, asked=asked)
        yield from unanswered(drifted, scene.use_case.name, closed_before(scene.known), block)
    yield from standing_drift(standing, looked.drift)  # behind what is newer
    yield from of_columns(looked.outages or (), standing, told_before(scene.known), recent=recent, asked=asked)
    for release in looked.releases.values():
        yield from say.of_release(release, asked)


def _of_losses(looked: Looked, scene: Scene, then: str) -> Iterator[Finding]:
    asked = scene.asked
    harmed = [(span, result) for span, result in looked.windows if result.verdict == Verdict.HARM]
    for span, result in harmed[-1:]:
        yield say.of_window(result.reason, span, result.report_url, asked, then)
    if looked.estimated is not None and looked.estimated["verdict"] == Verdict.HARM:
        yield say.of_estimate(looked.estimated, asked, then)
    if looked.concept is not None:
        yield from say.of_concept(looked.concept, asked.until, asked, then)


def _of_rows(looked: Looked, scene: Scene) -> Iterator[Finding]:
    if looked.inputs is not None:
        yield from say.of_inputs(looked.inputs, scene.champion, scene.begin, scene.asked)
        gone = {one.column for one in looked.outages or () if one.lasts}
        yield from of_missing(looked.inputs.jumps, gone, scene.standing, asked=scene.asked)
    if looked.summary is not None:
        yield from say.of_slices(looked.summary.slices, scene.begin, scene.asked)
