"""The store of blocks: however rows arrive, its blocks are those of one read of everything."""

import math
import random
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.profiling.watched import LABEL
from flywheel.recalibration import LEAST, MOST, moved
from flywheel.storage import PredictionLog
from flywheel.usecase import parse_usecase
from monitoring.windows.keys import Key
from monitoring.windows.store import BlockStore
from monitoring.windows.update import Source, Update, update_blocks
from monitoring.windows.window import Span, read_window
from tests.monitoring.windows.block_log import AT, DAY, LENS, NAME, BlockLog, Row, all_told, line, outcome, record

CHAMPION = Key("1", "champion")
END = AT + 6 * DAY
HOUR = timedelta(hours=1)


def source(log: PredictionLog) -> Source:
    return Source(log, NAME, "binary", lambda version: LENS if version in ("1", "2") else None, timedelta(hours=2))


def update(root: Path, log: BlockLog, as_of: datetime = END) -> Update:
    return update_blocks(BlockStore(root, NAME), source(log.log), as_of)


def test_a_day_of_answers_becomes_a_block_with_its_labels(tmp_path: Path) -> None:
    log = BlockLog(tmp_path)
    rows = [record(number) for number in range(30)]
    log.answered(rows)
    log.append(
        "outcomes", [outcome(float(row["row"] == 0), row["event_time"], entity=row["entity"]) for row in rows[:20]]
    )
    found = update(tmp_path, log)

    series = BlockStore(tmp_path, NAME).series(CHAMPION)
    assert series is not None
    (block,) = series.blocks
    assert found.changed == {CHAMPION: (AT,)}
    assert (block.rows, block.columns["label"].rows, block.columns["label"].share("true")) == (30, 20, 1.0)
    assert block.columns["colour"].share("red") == pytest.approx(1 / 3)
    assert block.numbers["prediction"].count == 30
    assert block.categories["colour"].other == 10  # green, which the reference does not know


def test_blocks_hold_answers_as_the_model_gave_them_also_behind_a_table_without_shifts(tmp_path: Path) -> None:
    # Each answer is one of the scale's quantiles; .7 is not: there the quantile is .7000000000000001.
    rows, found = [record(number) for number in range(22) if number % 10 != 7], []
    for shift in (None, 0.7):
        root = tmp_path / f"by-{shift}"
        log = BlockLog(root)
        log.answered(rows[:10], without=("shift",))
        log.answered([row if shift is None else moved_by(row, shift) for row in rows[10:]])
        update(root, log)
        series = BlockStore(root, NAME).series(CHAMPION)
        assert series is not None
        found.append(series.merged().numbers["prediction"])
        assert log.log.predictions(NAME)["shift"].drop_nulls().to_list() == [shift] * (0 if shift is None else 10)
    assert found[0].counts.tolist() == found[1].counts.tolist()
    assert found[0].count == 20


def moved_by(row: Row, shift: float) -> Row:
    chance = min(max(row["outputs"]["probability"], LEAST), MOST)
    return {**row, "outputs": {"probability": moved(chance, math.exp(-shift))}, "shift": shift}


def test_late_rows_and_late_outcomes_reopen_their_blocks_and_no_others(tmp_path: Path) -> None:
    log = BlockLog(tmp_path)
    log.answered([record(1), record(2, 24), record(3, 48)])
    update(tmp_path, log)
    assert update(tmp_path, log).changed == {}
    log.answered([record(4, 1)])
    assert update(tmp_path, log).changed == {CHAMPION: (AT,)}
    log.append("outcomes", [outcome(1.0, AT + 49 * HOUR, entity="e3")])
    assert update(tmp_path, log).changed == {CHAMPION: (AT + 2 * DAY,)}


def test_a_correction_replaces_a_label(tmp_path: Path) -> None:
    log = BlockLog(tmp_path)
    log.answered([record(1)])
    said = outcome(1.0, AT + HOUR, entity="e1")
    log.append("outcomes", [said])
    update(tmp_path, log)
    log.append("outcomes", [outcome(0.0, AT + HOUR, AT + 5 * HOUR, entity="e1")])
    found = update(tmp_path, log)
    series = BlockStore(tmp_path, NAME).series(CHAMPION)
    assert series is not None
    assert series.blocks[0].columns["label"].share("false") == 1.0
    assert (found.changed, found.claims.corrected) == ({CHAMPION: (AT,)}, 1)


def test_a_report_of_another_task_is_no_outcome(tmp_path: Path) -> None:
    log = BlockLog(tmp_path)
    log.answered([record(1)])
    at = AT + HOUR
    log.append("outcomes", [outcome(1.0, at, entity="e1"), outcome(0.0, at, at + 2 * HOUR, entity="e1", outcome=None)])
    update(tmp_path, log)
    series = BlockStore(tmp_path, NAME).series(CHAMPION)
    assert series is not None
    assert series.blocks[0].columns["label"].share("true") == 1.0


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[tuple[str, Row]], list[int], list[int]]:
    """Draw rows in an order of arrival, where it is cut into commits, and after which of these is updated."""
    seed = draw(st.integers(0, 2**32 - 1))
    chance = random.Random(seed)  # noqa: S311  # a draw of rows, no secret
    rows: list[tuple[str, Row]] = []
    for number in range(draw(st.integers(1, 25))):
        changes: Row = {
            "entity": f"e{chance.randrange(8)}",
            "model_version": chance.choice(["1", "1", "2", "default", "9"]),
        }
        made = record(number, chance.uniform(0, 96), **changes)
        rows.append(("predictions", made))
        if chance.random() < 0.15:
            rows.append(("predictions", made | {"arm": "shadow", "prediction_id": f"s{number}", "model_version": "2"}))
        if chance.random() < 0.85:
            rows.append(("requests", line(made, chance.choice([200, 200, 200, 503]))))
        for _ in range(chance.choice([0, 1, 1, 2])):
            key: Row = {"prediction_id": f"p{number}"} if chance.random() < 0.3 else {"entity": made["entity"]}
            at = made["event_time"] + timedelta(hours=chance.uniform(-1, 5))
            rows.append(
                ("outcomes", outcome(float(chance.random() < 0.5), at, at + HOUR * chance.uniform(0, 3), **key))
            )
    chance.shuffle(rows)
    cuts = sorted(draw(st.sets(st.integers(1, len(rows)), max_size=6)) | {len(rows)})
    return rows, cuts, draw(st.lists(st.integers(0, 6), max_size=4))


@settings(deadline=None, max_examples=12)
@given(arrivals=arrivals())
def test_blocks_are_those_of_one_read_in_whatever_order_and_pieces_rows_arrive(
    arrivals: tuple[list[tuple[str, Row]], list[int], list[int]],
) -> None:
    rows, cuts, looks = arrivals
    with TemporaryDirectory() as folder:
        here, once = Path(folder) / "here", Path(folder) / "once"
        log, begin = BlockLog(here), 0
        for number, cut in enumerate(cuts):
            for table in ("predictions", "requests", "outcomes"):
                if part := [row for name, row in rows[begin:cut] if name == table]:
                    log.append(table, part)
            begin = cut
            if number in looks:
                update(here, log, AT + number * 12 * HOUR)
        last = update(here, log)
        whole = update(once, log)
        stores = BlockStore(here, NAME), BlockStore(once, NAME)
        assert stores[0].kept() == stores[1].kept()
        for key in set(stores[0].kept()):
            assert all_told(stores[0].series(key)) == all_told(stores[1].series(key))
        assert last.claims == whole.claims
        assert sum(last.unprofiled.values()) == sum(whole.unprofiled.values())
        _agrees_with_a_window_read_by_hand(log.log, stores[0])


USE_CASE = parse_usecase(
    {
        "name": NAME,
        "task": "binary",
        "data": {
            "source": {"kind": "csv", "path": "rows.csv"},
            "entity": "key",
            "event_time": "at",
            "label": {"column": "late", "available_after": "2h"},
        },
    },
    "here",
)


def _agrees_with_a_window_read_by_hand(log: PredictionLog, store: BlockStore) -> None:
    rows = read_window(log, USE_CASE, Span(AT, END, END)).rows
    for version in ("1", "2"):
        ours = rows.filter(rows["model_version"] == version)
        series = store.series(Key(version, "champion"))
        blocks = () if series is None else series.blocks
        labelled = sum(block.columns[LABEL].rows for block in blocks if LABEL in block.columns)
        assert sum(block.rows for block in blocks) == ours.height
        assert labelled == ours["outcome"].is_not_null().sum()
