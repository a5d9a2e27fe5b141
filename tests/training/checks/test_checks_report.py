"""The page of a check: complete in itself, safe with any text, and saying what the report says."""

import re
from html.parser import HTMLParser

import polars as pl
import pytest

from tests.training.checked import check, profile_of, rows_of
from training.checks.finding import CheckFailedError
from training.checks.report import checks_html

OLD = rows_of()
NEW = rows_of(days=14, seed=2, first_day=40).with_columns(
    pl.col("size") * 2, colour=pl.col("colour").replace("red", "crimson")
)


class Balance(HTMLParser):
    """Counts tags that are open."""

    VOID = ("meta", "rect", "line")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_holds_every_finding_and_a_picture_of_each_moved_column() -> None:
    report = check(pl.concat([OLD, NEW]), profile_of(OLD)).report
    page = checks_html(report)
    assert "Usable, with warnings" in page
    assert page.count("<svg") == sum(finding.comparison is not None for finding in report.findings) >= 2
    assert page.count('class="tag') == len(report.findings)
    reader = Balance()
    reader.feed(page)
    assert reader.open == []


def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = checks_html(check(pl.concat([OLD, NEW]), profile_of(OLD)).report)
    assert re.findall(r"(?:src|href|url\()", page) == []
    assert "<script" not in page


def test_text_of_the_data_is_shown_and_never_run() -> None:
    bad = OLD.with_columns(
        colour=pl.when(pl.int_range(960) == 7).then(pl.lit("<script>alert(1)</script>")).otherwise("colour")
    )
    with pytest.raises(CheckFailedError) as caught:
        check(bad, columns={"colour": {"categories": ["red", "green", "blue"], "action": "stop"}})
    page = checks_html(caught.value.report)
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "Training was stopped" in page


def test_a_page_without_findings_says_that_every_check_passed() -> None:
    page = checks_html(check(OLD).report)
    assert "Every check passed" in page
    assert "<table" not in page
