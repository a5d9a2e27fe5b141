"""The page docs/observability.md against what is told, what rings, and the code."""

import re
from pathlib import Path

from tests.platform.conftest import Told
from tests.platform.test_rules import alerts

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "observability.md").read_text()
ROW = re.compile(r"^\| `(flywheel_\w+)` \|", re.MULTILINE)
SUFFIX = re.compile("_(total|bucket)$")
LITERAL = re.compile(r'"(flywheel_[a-z0-9_]+)"')


def test_each_series_has_its_row_and_each_row_its_series(told: Told) -> None:
    agents, others = PAGE.index("Agents (`/metrics`"), PAGE.index("The exporter (`python")
    for tables, names in ((PAGE[agents:others], told.agent), (PAGE[others:], told.exporter)):
        ours = {name for name in names if name.startswith("flywheel_")}
        rows = ROW.findall(tables)
        assert len(rows) == len(set(rows))
        assert set(rows) == ours


def test_no_name_in_the_code_is_missing_from_the_page() -> None:
    """Also of a metric that is told only in some state, which no page of a test shows."""
    rows = {SUFFIX.sub("", name) for name in ROW.findall(PAGE)}
    found = {
        SUFFIX.sub("", name) for path in (ROOT / "deploy").rglob("*.py") for name in LITERAL.findall(path.read_text())
    }
    assert found - rows == set()
    assert len(found) > 30


def test_the_page_says_of_each_alert_how_bad_it_is_when_it_rings_and_what_to_do() -> None:
    for rule in alerts():
        name, after = rule["alert"], rule.get("for")
        row = f"| [{name}](#{name.lower()}) | {rule['labels']['severity']} | {after or 'at once'} |"
        assert row in PAGE
        section = PAGE.split(f"### {name}\n", 1)[1].split("\n### ", 1)[0]
        held = f"has held for {after or 'no time at all'}."
        assert f"Rings when `{' '.join(rule['expr'].split())}` {held}\n{rule['annotations']['description']}" in section
