"""Which rows somebody asks for, and how a finding writes that as a command."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path

LOSS, KNOWN = "loss", "known"
NEW = "(new)"  # any value that training has not shown often enough to know
ANSWERS = ("prediction", "label", LOSS)  # what a row has beside its inputs


@dataclass(frozen=True)
class Question:
    """What of a window's rows is asked.

    Attributes:
        columns: Inputs, `prediction` or `label`, that are shown and held against training.
        missing: Only rows in which one of them has no value.
        having: Only rows in which columns have these values; `NEW` are those that training does not know.
        by: By what they are sorted, the greatest first; '' by time; `KNOWN` by when outcomes became known.
        version: Only rows that this version answered; '' for all.
    """

    columns: tuple[str, ...] = ()
    missing: bool = False
    having: tuple[tuple[str, str], ...] = ()
    by: str = ""
    version: str = ""


@dataclass(frozen=True)
class Asked:
    """A use case's file and a window: writes the commands that findings print.

    Attributes:
        file: The use case's usecase.yaml.
        until: The end of what was looked at (naive UTC).
    """

    file: Path
    until: datetime

    def command(self, start: datetime, question: Question, end: datetime | None = None) -> str:
        """Return the command that shows rows from `start` to `end`, by default until the look's end."""
        last = end or self.until
        words = ["flywheel", "rows", str(self.file.resolve()), "--start", _told(start)]
        words += ["--end", _told(max(last, start + timedelta(minutes=1)))]
        for column in question.columns:
            words += ["--column", column]
        words += ["--missing"] if question.missing else []
        for column, value in question.having:
            words += ["--having", f"{column}={value}"]
        words += ["--by", question.by] if question.by else []
        words += ["--version", question.version] if question.version else []
        return shlex.join(words)

    def reports(self, kind: str) -> str:
        """Return the command that shows odd reports of outcomes."""
        return shlex.join(["flywheel", "odd-outcomes", str(self.file.resolve()), kind])


def _told(moment: datetime) -> str:
    """Write a time as short as it is exact."""
    if moment.time() == time():
        return f"{moment:%Y-%m-%d}"
    return moment.isoformat(timespec="auto" if moment.microsecond else "seconds").removesuffix(":00")


def read_having(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Read `COLUMN=VALUE`, the column up to the first sign.

    Raises:
        ValueError: There is no such sign; the text is named.
    """
    pairs = []
    for text in texts:
        column, sign, value = text.partition("=")
        if not sign or not column:
            raise ValueError(text)
        pairs.append((column, value))
    return tuple(pairs)
