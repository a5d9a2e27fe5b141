"""The one formula by which answers are moved, and the file that says by how much: whole and signed, or not believed."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.errors import IntegrityError, SpecError
from flywheel.recalibration import KEY_BYTES, LEAST, MOST, Recalibrated, moved, path_of, read_key, weight
from flywheel.usecase import parse_usecase

KEY, OTHER = b"k" * KEY_BYTES, b"o" * KEY_BYTES
NOW, LASTS = datetime(2026, 3, 1, 12, tzinfo=UTC), timedelta(days=3)
TOLD = Recalibrated(
    use_case="flights", version="3", digest="sha256:0", shift=-0.25, as_of=datetime(2013, 5, 1), made=NOW
)
shifts = st.floats(-4, 4)
chances = st.floats(LEAST, MOST)
CASE = {
    "name": "flights",
    "data": {"source": {"kind": "csv", "path": "x"}, "event_time": "t", "label": {"column": "y"}},
}


@given(chances, shifts)
def test_what_was_moved_can_be_moved_back_to_a_part_in_a_million_million(probability: float, shift: float) -> None:
    served = moved(probability, math.exp(-shift))
    assert 0 < served <= 1
    assert abs(moved(min(max(served, LEAST), MOST), math.exp(shift)) - probability) < 1e-12


@given(st.floats(1e-9, 1 - 1e-9), shifts)
def test_the_shift_is_one_of_the_log_odds(probability: float, shift: float) -> None:
    odds = math.log(probability) - math.log1p(-probability) + shift
    assert moved(probability, math.exp(-shift)) == pytest.approx(1 / (1 + math.exp(-odds)), rel=1e-9)


@given(st.lists(chances, min_size=2, max_size=20), shifts)
def test_an_agents_single_rows_and_a_backtests_columns_are_moved_alike_and_stay_in_order(
    values: list[float], shift: float
) -> None:
    ordered, against = sorted(values), math.exp(-shift)
    column = moved(np.array(ordered), against)
    assert column.tolist() == [moved(one, against) for one in ordered]
    assert (np.diff(column) >= 0).all()


@given(st.floats(-1, 10), st.floats(0, 3))
def test_a_shift_counts_whole_while_it_lasts_and_then_less_and_less_until_it_is_gone(days: float, more: float) -> None:
    now, later = (weight(timedelta(days=one), LASTS) for one in (days, days + more))
    assert 0 <= later <= now <= 1
    assert (now == 1) == (days <= 3.03)
    assert (now == 0) == (timedelta(days=days) >= 2 * LASTS)


def test_a_file_is_read_as_it_was_signed(tmp_path: Path) -> None:
    path = tmp_path / "3.json"
    path.write_bytes(TOLD.signed(KEY))
    assert Recalibrated.read(path, KEY) == TOLD
    assert path_of(tmp_path, "flights", "3") == tmp_path / "monitoring" / "flights" / "recalibration" / "3.json"


@given(st.data())
def test_no_file_that_was_cut_or_changed_anywhere_is_believed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = TOLD.signed(KEY)
    place = data.draw(st.integers(0, len(whole) - 1))
    path = tmp_path_factory.mktemp("damaged") / "3.json"
    broken = whole[:place]
    if data.draw(st.booleans()):
        byte = data.draw(st.integers(0, 255).filter(lambda value: value != whole[place]))
        broken = whole[:place] + bytes([byte]) + whole[place + 1 :]
    path.write_bytes(broken)
    with pytest.raises(IntegrityError, match=r"not whole|not signed"):
        Recalibrated.read(path, KEY)


def test_another_homes_key_and_a_document_that_is_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "3.json"
    path.write_bytes(TOLD.signed(OTHER))
    with pytest.raises(IntegrityError, match="not signed with this home's key"):
        Recalibrated.read(path, KEY)
    strange = Recalibrated.model_construct(**{**TOLD.model_dump(), "shift": "far"})
    with pytest.warns(UserWarning, match="shift"):
        path.write_bytes(strange.signed(KEY))
    with pytest.raises(IntegrityError, match="is damaged"):
        Recalibrated.read(path, KEY)


def test_a_shift_beyond_the_bound_or_of_a_time_to_come_is_refused() -> None:
    TOLD.check(0.25, NOW)
    with pytest.raises(IntegrityError, match=r"beyond the ±0.2 that the version's package allows"):
        TOLD.check(0.2, NOW)
    with pytest.raises(IntegrityError, match="still to come"):
        TOLD.check(1, NOW - timedelta(minutes=6))


def test_a_key_is_so_many_bytes_in_hexadecimal_digits(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(KEY.hex())
    assert read_key(path) == KEY
    for text in ("kk", "6b6b"):
        path.write_text(text)
        with pytest.raises(IntegrityError, match="the next look makes"):
            read_key(path)


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_a_use_case_without_a_yes_or_no_has_nothing_to_move(task: str) -> None:
    with pytest.raises(SpecError, match="moves the log-odds of yes or no"):
        parse_usecase({**CASE, "task": task, "monitor": {"recalibrate": {}}}, "usecase.yaml")


def test_nothing_is_moved_unless_it_was_asked_for_and_what_fades_before_each_look_is_refused() -> None:
    assert parse_usecase(CASE, "usecase.yaml").monitor.recalibrate is None
    assert parse_usecase({**CASE, "monitor": {"recalibrate": {"most": 0.5}}}, "usecase.yaml").monitor.recalibrate
    for wrong, said in (({"most": 9}, "most"), ({"most": 0}, "most"), ({"lasts": "12h"}, "shorter than `every`")):
        with pytest.raises(SpecError, match=said):
            parse_usecase({**CASE, "monitor": {"recalibrate": wrong}}, "usecase.yaml")
