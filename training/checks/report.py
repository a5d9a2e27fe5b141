"""The report as one page that needs nothing else: no script, no file, no network."""

from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from training.checks.finding import CheckReport, Comparison, Finding

HEADLINES = {
    "pass": "Every check passed",
    "warn": "Usable, with warnings",
    "quarantine": "Usable, with rows set aside",
    "stop": "Training was stopped",
}
PAGES = Environment(
    loader=PackageLoader("training.checks", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


@dataclass(frozen=True)
class Bar:
    """One label's pair of bars: `before` and `now` in percent of the tallest bar, and the shares as text."""

    label: str
    before: float
    now: float
    title: str


@dataclass(frozen=True)
class Drawing:
    """A comparison as the page draws it: numbers side by side as columns, categories below each other as rows."""

    numeric: bool
    bars: tuple[Bar, ...]
    low: str
    high: str


def checks_html(report: CheckReport) -> str:
    """Return the page: the verdict, the counts, and a table of findings with a picture of each shifted column."""
    return PAGES.get_template("checks.html.jinja").render(
        report=report,
        headline=HEADLINES[report.verdict],
        findings=[(finding, _affected(finding), _drawing(finding.comparison)) for finding in report.findings],
    )


def _affected(finding: Finding) -> str:
    """Say how much of the data a finding is about; nothing when it is about none in particular."""
    if finding.rows == 0:
        return ""
    share = f"{finding.share:.1%}" if finding.share >= 0.001 else "< 0.1%"
    return f"{finding.rows:,} ({share})"


def _drawing(comparison: Comparison | None) -> Drawing | None:
    if comparison is None:
        return None
    tallest = max(*comparison.before, *comparison.now, 1e-9)
    bars = tuple(
        Bar(label, 100 * was / tallest, 100 * now / tallest, f"{label}: {was:.1%} before, {now:.1%} now")
        for label, was, now in zip(comparison.labels, comparison.before, comparison.now, strict=True)
    )
    numeric = comparison.type not in ("string", "boolean")
    return Drawing(numeric, bars, comparison.labels[0], comparison.labels[-1])
