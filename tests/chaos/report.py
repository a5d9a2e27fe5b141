"""What a part of the chaos did and saw, and whether that is what was promised."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from flywheel.records import Accounts
from tests.chaos.load import Answers


@dataclass
class Report:
    """One part: figures for people, and every broken promise as a sentence."""

    part: str
    figures: dict[str, Any] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def expect(self, holds: bool, sentence: str) -> None:  # reads as a sentence
        """Note a promise that was not kept."""
        if not holds:
            self.broken.append(sentence)

    def expect_all_answered(self, answers: Answers, access_log: Path | None = None) -> None:
        """No prediction may have failed; for those that did, show what the gateway wrote of the first ones."""
        codes = {str(code): count for code, count in sorted(answers.codes.items())}
        self.figures["answers"] = codes
        first = [f"{status}: {answers.bodies.get(name, '')}" for name, status in list(answers.failed.items())[:3]]
        if answers.failed and access_log is not None:
            lines = access_log.read_text().splitlines()
            said = [line for line in lines if any(name in line for name in list(answers.failed)[:50])]
            self.figures["gateway_said"] = said[:5] + said[-5:]
        self.expect(not answers.failed, f"{len(answers.failed)} predictions failed, such as {first}")

    def expect_all_recorded(self, answers: Answers, found: Accounts) -> None:
        """Each answer has one record."""
        self.figures["accounts"] = asdict(found)
        asked = len(answers.answered)
        self.expect(
            found.answered_requests == asked, f"{asked} answers, {found.answered_requests} in the gateway's log"
        )
        self.expect(found.records_missing == 0, f"{found.records_missing} answers have no record")
        self.expect(found.records_doubled == 0, f"{found.records_doubled} records are doubled")
