"""Times: any zone becomes naive UTC, mixtures and nonsense are named with their rows."""

from datetime import date, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.errors import DataError
from training.sources.times import TIME, iso_format, utc_times

FORMS = ("%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d", "%Y/%m/%d %H:%M:%S")
ZONES = ("Z", "+00:00", "+02:00", "-0530", "+14", " +01:00")
moments = st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))


def utc(values: list[object], zone: str = "UTC", entity: pl.Series | None = None) -> list[datetime | None]:
    times = utc_times(pl.Series("at", values), zone, what="Event time", entity=entity)
    assert times.dtype == TIME
    return times.to_list()


@settings(deadline=None)
@given(st.lists(st.tuples(moments, st.sampled_from(FORMS)), min_size=1, max_size=30))
def test_text_without_zones_is_read_in_any_mixture_of_forms(pairs: list[tuple[datetime, str]]) -> None:
    texts: list[object] = [moment.strftime(form) for moment, form in pairs]
    expected = [datetime.strptime(str(text), form) for text, (_, form) in zip(texts, pairs, strict=True)]
    assert utc(texts) == expected


@settings(deadline=None)
@given(st.lists(st.tuples(moments, st.sampled_from(FORMS[:3]), st.sampled_from(ZONES)), min_size=1, max_size=30))
def test_text_with_different_offsets_becomes_utc(parts: list[tuple[datetime, str, str]]) -> None:
    texts, expected = [], []
    for moment, form, zone in parts:
        text = moment.strftime(form)
        digits = zone.strip().replace(":", "").replace("Z", "+0000").ljust(5, "0")
        offset = timedelta(hours=int(digits[1:3]), minutes=int(digits[3:])) * (-1 if digits[0] == "-" else 1)
        texts.append(text + zone)
        expected.append(datetime.strptime(text, form) - offset)
    assert utc(list(texts)) == expected


def test_missing_times_stay_missing() -> None:
    assert utc([None, "2024-01-01"]) == [None, datetime(2024, 1, 1)]
    assert utc([None, None, "2024-01-01T00:00:00Z"])[2] == datetime(2024, 1, 1)


def test_text_of_mixed_zones_is_refused_with_a_row_of_each() -> None:
    with pytest.raises(
        DataError,
        match=r"'at' mixes times with a zone \(row 2 \(key b: '2024-01-01T00:00:00Z'\)\) and without \(row 1 \(key a",
    ):
        utc(["2024-01-01T00:00:00", "2024-01-01T00:00:00Z"], entity=pl.Series("k", ["a", "b"]))


@pytest.mark.parametrize(
    "text", ["soon", "", "2024-13-01", "2024-02-30", "31-12-2024", "12/31/2024", "20240101", "2024-01-01T25:00"]
)
def test_text_that_is_no_time_is_refused_with_its_rows(text: str) -> None:
    rest: list[object] = ["2024-01-01"] * 5
    with pytest.raises(DataError, match=r"no ISO 8601 time in 4 rows: row 1 .*row 2 .*row 3 .* and 1 more") as caught:
        utc([text] * 3 + rest + [text])
    assert repr(text) in str(caught.value)


def test_times_without_a_zone_are_in_the_named_one() -> None:
    assert utc(["2024-07-01 12:00:00"], "America/New_York") == [datetime(2024, 7, 1, 16)]
    assert utc([datetime(2024, 1, 1)], "America/New_York") == [datetime(2024, 1, 1, 5)]
    assert utc([date(2024, 1, 1)], "America/New_York") == [datetime(2024, 1, 1, 5)]


def test_times_with_a_zone_ignore_the_named_one() -> None:
    aware = datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert utc([aware], "America/New_York") == [datetime(2024, 1, 1)]
    assert utc(["2024-01-01T02:00+02:00"], "America/New_York") == [datetime(2024, 1, 1)]


def test_an_hour_that_clocks_show_twice_is_the_first_and_one_that_they_skip_is_refused() -> None:
    assert utc([datetime(2024, 11, 3, 1, 30)], "America/New_York") == [datetime(2024, 11, 3, 5, 30)]
    with pytest.raises(DataError, match=r"clocks in America/New_York skip: row 2 \('2024-03-10 02:30:00'\)"):
        utc([datetime(2024, 3, 9), datetime(2024, 3, 10, 2, 30)], "America/New_York")


def test_a_zone_that_does_not_exist_is_named() -> None:
    with pytest.raises(DataError, match="'Mars/Olympus' is no time zone"):
        utc([datetime(2024, 1, 1)], "Mars/Olympus")


@settings(deadline=None)
@given(st.text(alphabet="0123456789-:/TZ .+", max_size=24))
def test_any_text_is_a_time_or_one_sentence(text: str) -> None:
    try:
        found = utc([text])
    except DataError as fault:
        assert "'at'" in str(fault)  # noqa: PT017  # either outcome is right, but no other
    else:
        assert isinstance(found[0], datetime)
        assert iso_format(text.strip()) is not None
