"""How two versions differ: figures, parameters, data, columns, code, libraries, evidence, stages. Pure and bounded.

In flow the facts of both (`registry.history.facts` reads them), out flows a Difference; `document` makes it JSON.
"""

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

SHOWN = 200  # rows of a table
LINES = 400  # of one file's difference
WIDTH = 300  # characters of a line
COMPARED = 4000  # lines of a file: the time of a comparison grows with their square
LOW, HIGH = "_low", "_high"  # ends of a metric's interval are metrics of their own


@dataclass(frozen=True)
class Facts:
    """What is known of one version. What is not known is empty.

    Args:
        model: Its model.
        version: Its number.
        stage: Where it is.
        aliases: That point at it.
        digest: Of its bytes, when it was approved or signed.
        author: Who registered it.
        metrics: Of its run, with the ends of intervals.
        params: Of its run, and of the last fit.
        data: Digests, rows and spans of what it learned from, by name.
        inputs: Type of each column of a request, by name.
        features: Kind of each feature after encoding, by name.
        texts: Use case, feature function and lock, by file name.
        evidence: Sentence of each gate's newest evidence, by gate.
    """

    model: str
    version: str
    stage: str = "None"
    aliases: tuple[str, ...] = ()
    digest: str = ""
    author: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    features: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    evidence: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """One thing that differs; None on the side that lacks it."""

    name: str
    a: str | None
    b: str | None


@dataclass(frozen=True)
class Figure:
    """One metric of both, each as value, low and high (None without an interval)."""

    name: str
    a: tuple[float, float | None, float | None] | None
    b: tuple[float, float | None, float | None] | None


@dataclass(frozen=True)
class Table:
    """Rows that differ; `cut` more are not shown."""

    rows: tuple[Change, ...]
    cut: int = 0


@dataclass(frozen=True)
class FileChange:
    """A file as a unified difference; `cut` more lines are not shown."""

    name: str
    lines: tuple[str, ...]
    cut: int = 0


@dataclass(frozen=True)
class Difference:
    """What differs between version a and version b; empty where nothing does."""

    a: str
    b: str
    version: Table
    figures: tuple[Figure, ...]
    params: Table
    data: Table
    inputs: Table
    features: Table
    libraries: Table
    evidence: Table
    files: tuple[FileChange, ...]

    def document(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return asdict(self)


def compare(a: Facts, b: Facts) -> Difference:
    """Return what differs between two versions, of one model or of two."""
    return Difference(
        a=f"{a.model}/{a.version}",
        b=f"{b.model}/{b.version}",
        version=_table(_identity(a), _identity(b)),
        figures=_figures(a.metrics, b.metrics),
        params=_table(a.params, b.params),
        data=_table(a.data, b.data),
        inputs=_table(a.inputs, b.inputs),
        features=_table(a.features, b.features),
        libraries=_table(libraries(a.texts.get(LOCK, "")), libraries(b.texts.get(LOCK, ""))),
        evidence=_table(a.evidence, b.evidence),
        files=_files(a.texts, b.texts),
    )


LOCK = "requirements.lock"


def libraries(lock: str) -> dict[str, str]:
    """Return the version of each library that a lock names; lines of another form are left out."""
    pairs = (line.split("==", 1) for line in lock.splitlines() if "==" in line and not line.startswith(("#", " ")))
    return {name.strip().lower(): version.split(";")[0].split("\\")[0].strip() for name, version in pairs}


def _identity(facts: Facts) -> dict[str, str]:
    said = {
        "stage": facts.stage,
        "aliases": ", ".join(facts.aliases),
        "digest": facts.digest,
        "author": facts.author,
    }
    return {name: value for name, value in said.items() if value}


def _table(a: Mapping[str, str], b: Mapping[str, str]) -> Table:
    names = sorted(name for name in {*a, *b} if a.get(name) != b.get(name))
    rows = [Change(name, _short(a.get(name)), _short(b.get(name))) for name in names[:SHOWN]]
    return Table(tuple(rows), len(names) - len(rows))


def _figures(a: Mapping[str, float], b: Mapping[str, float]) -> tuple[Figure, ...]:
    names = sorted(
        (name for name in {*a, *b} if not (_is_end(name, a) or _is_end(name, b))),
        key=lambda name: (not name.startswith("test_"), name),
    )
    return tuple(Figure(name, _figure(name, a), _figure(name, b)) for name in names[:SHOWN])


def _is_end(name: str, metrics: Mapping[str, float]) -> bool:
    whole = name.removesuffix(LOW).removesuffix(HIGH)
    return whole != name and {whole, whole + LOW, whole + HIGH} <= metrics.keys()


def _figure(name: str, metrics: Mapping[str, float]) -> tuple[float, float | None, float | None] | None:
    if not math.isfinite(metrics.get(name, math.nan)):
        return None
    ends = metrics.get(name + LOW, math.nan), metrics.get(name + HIGH, math.nan)
    return (metrics[name], *ends) if all(map(math.isfinite, ends)) else (metrics[name], None, None)


def _files(a: Mapping[str, str], b: Mapping[str, str]) -> tuple[FileChange, ...]:
    names = [name for name in sorted({*a, *b} - {LOCK}) if a.get(name) != b.get(name)]
    return tuple(_file(name, a.get(name, ""), b.get(name, "")) for name in names)


def _file(name: str, a: str, b: str) -> FileChange:
    before, after = a.splitlines()[:COMPARED], b.splitlines()[:COMPARED]
    lines: Sequence[str] = list(difflib.unified_diff(before, after, f"a/{name}", f"b/{name}", lineterm=""))
    return FileChange(name, tuple(line[:WIDTH] for line in lines[:LINES]), max(len(lines) - LINES, 0))


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= WIDTH else text[: WIDTH - 1] + "…"
