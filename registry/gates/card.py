"""Gate: does the training card say what a reviewer must know?"""

import re
from html.parser import HTMLParser
from pathlib import Path

from flywheel.limits import Limits
from flywheel.package import INSIDE
from registry.gates.evidence import Measurement
from registry.gates.gate import Candidate, judged

# Headings that every card has, whatever was measured; how good a model is must not be said by an empty section.
SECTIONS = ("How good it is", "Data", "Limits", "Where it came from")
EMPTY = ("nothing was measured.", "tbd", "todo")


class Card:
    """Looks for the sections of card.md that every card has, each with text, and for a card.html that is a page."""

    name = "card"
    title = "Training card"

    def measure(self, candidate: Candidate, limits: Limits) -> Measurement:
        """Read both forms of the card."""
        inside = candidate.folder / INSIDE
        lacking = _lacking(inside / "card.md") + _page_lacks(inside / "card.html")
        value = float(len(lacking))
        if lacking:
            return judged(
                False,
                f"The card is not complete: {'; '.join(lacking)}. Train the model again, or write what is missing.",
                value=value,
                limit=0.0,
                unit="parts missing",
                details={"missing": lacking},
            )
        return judged(
            True,
            f"The card has all its sections: {', '.join(SECTIONS)}.",
            value=value,
            limit=0.0,
            unit="parts missing",
        )


def _lacking(path: Path) -> list[str]:
    if not path.is_file():
        return ["there is no card.md"]
    found = sections(path.read_text(errors="replace"))
    lacking = []
    for wanted in SECTIONS:
        texts = [text for title, text in found.items() if title.startswith(wanted.lower())]
        if not texts:
            lacking.append(f"section '{wanted}' is missing")
        elif all(text.strip().lower() in ("", *EMPTY) for text in texts):
            lacking.append(f"section '{wanted}' says nothing")
    return lacking


def sections(text: str) -> dict[str, str]:
    """Return the text below each heading of a Markdown document, by the heading in lower case."""
    found: dict[str, str] = {}
    title = ""
    for line in text.splitlines():
        heading = re.match(r"#+\s+(.*)", line)
        if heading:
            title = heading[1].strip().lower()
            found.setdefault(title, "")
        elif line.strip():
            found[title] = f"{found.get(title, '')} {line.strip()}"
    return found


def _page_lacks(path: Path) -> list[str]:
    if not path.is_file():
        return ["there is no card.html"]
    page = _Text()
    page.feed(path.read_text(errors="replace"))
    return [] if page.headings and page.letters > 0 else ["card.html is no page with headings and text"]


class _Text(HTMLParser):
    """Counts headings and the letters of visible text."""

    def __init__(self) -> None:
        super().__init__()
        self.headings, self.letters, self._hidden = 0, 0, 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.headings += tag in ("h1", "h2")
        self._hidden += tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("style", "script")

    def handle_data(self, data: str) -> None:
        self.letters += 0 if self._hidden else len(data.strip())
