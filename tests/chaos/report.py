"""What a part of the chaos did and saw, and whether that is what was promised."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from flywheel.goals import Goal, goal
from flywheel.records import Accounts
from tests.chaos.load import Answers


@dataclass
class Report:
    """One part: how much was done of what, figures for people, and every broken promise as a sentence.

    Args:
        part: Its name.
        wanted: How often something should be done.
        done: How often it was.
    """

    part: str
    wanted: int
    done: int = 0
    failed: int = 0
    lost: int = 0
    doubled: int = 0
    worst_seconds: float = 0.0
    peaks_mb: dict[str, int] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    @property
    def goals(self) -> list[Goal]:
        """What must hold of every part."""
        counted = {"failed": self.failed, "lost": self.lost, "doubled": self.doubled, "broken": len(self.broken)}
        return [
            goal(f"{self.part}_done", self.done, ">=", self.wanted),
            *(goal(f"{self.part}_{name}", value, "==", 0) for name, value in counted.items()),
        ]

    @property
    def kept(self) -> bool:
        """Whether every promise held, and all was done."""
        return all(one.met for one in self.goals)

    def expect(self, holds: bool, sentence: str) -> None:  # reads as a sentence
        """Note a promise that was not kept."""
        if not holds:
            self.broken.append(sentence)

    def expect_all_answered(self, answers: Answers, access_log: Path | None = None) -> None:
        """No prediction may have failed; for those that did, show what the gateway wrote of the first ones."""
        self.note(answers)
        self.failed += len(answers.failed)
        first = [f"{status}: {answers.bodies.get(name, '')}" for name, status in list(answers.failed.items())[:3]]
        if answers.failed and access_log is not None:
            lines = access_log.read_text().splitlines()
            said = [line for line in lines if any(name in line for name in list(answers.failed)[:50])]
            self.figures["gateway_said"] = said[:5] + said[-5:]
        self.expect(not answers.failed, f"{len(answers.failed)} predictions failed, such as {first}")
        self.expect(bool(answers.answered), "nothing was answered, so nothing was shown")

    def note(self, answers: Answers) -> None:
        """Count what clients got, whatever was promised of it."""
        codes = {str(code): count for code, count in sorted(answers.codes.items())}
        self.figures.setdefault("answers", {}).update(codes)
        self.worst_seconds = max(self.worst_seconds, round(answers.worst_seconds, 3))

    def expect_all_recorded(self, answers: Answers, found: Accounts, strange: int) -> None:
        """Each answer has one record, which says what was asked and answered; `strange` ones say something else."""
        self.figures["accounts"] = asdict(found)
        asked = len(answers.answered)
        self.lost += found.records_missing
        self.doubled += found.records_doubled
        self.expect(
            found.answered_requests == asked, f"{asked} answers, {found.answered_requests} in the gateway's log"
        )
        self.expect(found.records_missing == 0, f"{found.records_missing} answers have no record")
        self.expect(found.records_doubled == 0, f"{found.records_doubled} records are doubled")
        self.expect(strange == 0, f"{strange} records hold what another request asked")

    def row(self) -> Mapping[str, Any]:
        """Return all of it, for the JSON report."""
        return asdict(self)
