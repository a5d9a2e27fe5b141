"""Which rows fit a question, in which order, and what stands beside them of training."""

import shlex
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.errors import UsageError
from flywheel.profile import ColumnProfile
from monitoring.performance.measure import LOG_LOSS
from monitoring.performance.slices import judge_slices
from monitoring.rows.question import NEW, Asked, Question, read_having
from monitoring.rows.selection import select

FIRST = datetime(2013, 4, 1)
FRAME = pl.DataFrame(
    {
        "prediction_id": ["a", "b", "c", "d"],
        "event_time": [FIRST + timedelta(hours=number) for number in range(4)],
        "model_version": ["1", "1", "2", "1"],
        "prediction": [0.1, 0.2, 0.3, 0.4],
        "label": [0.0, 1.0, None, 1.0],
        "loss": [0.1, 1.6, None, 0.9],
        "carrier": ["UA", "UA", "AA", None],
        "distance": [100.0, None, 300.0, float("nan")],
    }
)
PROFILES = {
    "distance": ColumnProfile(
        name="distance", type="double", missing_share=0.01, quantiles=tuple(float(one) for one in range(101))
    ),
    "carrier": ColumnProfile(name="carrier", type="string", missing_share=0.0, categories={"UA": 0.7, "AA": 0.2}),
}


def ids(question: Question) -> list[str]:
    return select(FRAME, question, PROFILES).rows["prediction_id"].to_list()


@pytest.mark.parametrize(
    ("question", "found"),
    [
        (Question(), ["a", "b", "c", "d"]),
        (Question(by="loss"), ["b", "d", "a", "c"]),
        (Question(version="1"), ["a", "b", "d"]),
        (Question(("distance",), missing=True), ["b", "d"]),
        (Question(("distance", "carrier"), missing=True, version="1"), ["b", "d"]),
        (Question(having=(("carrier", "UA"),)), ["a", "b"]),
        (Question(having=(("carrier", "missing"),)), ["d"]),
        (Question(having=(("carrier", NEW),)), []),
        (Question(having=(("distance", "100 to 300"),)), ["c"]),
        (Question(having=(("distance", "≤ 100"),)), ["a"]),
        (Question(having=(("distance", "> 100"), ("carrier", "AA"))), ["c"]),
    ],
)
def test_rows_that_fit_are_found_in_the_order_asked_for(question: Question, found: list[str]) -> None:
    assert ids(question) == found


def test_values_that_training_does_not_know_are_found_and_named() -> None:
    knows = PROFILES | {"carrier": PROFILES["carrier"].model_copy(update={"categories": {"UA": 0.7}})}
    found = select(FRAME, Question(having=(("carrier", NEW),)), knows)
    assert found.rows["prediction_id"].to_list() == ["c"]
    said = "'carrier': 25.0% of the rows have values that training does not know, most often 'AA'"
    assert found.sentences == (said,)


def test_columns_stand_beside_those_of_training() -> None:
    found = select(FRAME, Question(("distance", "carrier")), PROFILES)
    assert found.sentences == (
        "'distance': 50.0% missing; median 200, nine of ten from 110 to 290. In training: 1.0% missing; median 50, nine"
        " of ten from 5 to 95",
        "'carrier': 25.0% missing; 'UA' 50.0%, 'AA' 25.0%. In training: 0.0% missing; 'UA' 70.0%, 'AA' 20.0%",
    )
    assert found.of == 4
    (said,) = select(FRAME, Question(having=(("carrier", "AA"),)), PROFILES).sentences
    assert said == "'carrier': 25.0% missing; 'AA' 25.0%. In training: 0.0% missing; 'AA' 20.0%"
    assert found.rows.columns[-2:] == ["distance", "carrier"]


@pytest.mark.parametrize("question", [Question(("nowhere",)), Question(by="nowhere"), Question(missing=True)])
def test_what_cannot_be_asked_is_refused(question: Question) -> None:
    with pytest.raises(UsageError):
        ids(question)


def test_every_part_that_slices_name_can_be_asked_for() -> None:
    count = 800
    frame = pl.DataFrame(
        {
            "prediction_id": [str(number) for number in range(count)],
            "event_time": [FIRST + timedelta(hours=number) for number in range(count)],
            "model_version": ["1"] * count,
            "prediction": [0.5] * count,
            "label": [1.0] * count,
            "loss": [0.7] * count,
            "distance": [None if number % 10 == 0 else float(number * 7 % 501) for number in range(count)],
        }
    )
    parts = judge_slices(frame, ["distance"], LOG_LOSS).parts
    assert len(parts) == 5
    for part in parts:
        found = select(frame, Question(having=(("distance", part.value),)), {})
        assert found.rows.height == pytest.approx(part.rows, abs=2)  # names have four digits


texts = st.text(min_size=1, max_size=12).filter(lambda text: "\x00" not in text)


@given(st.lists(texts, max_size=3), st.tuples(texts.filter(lambda text: "=" not in text), texts), st.booleans())
def test_a_command_says_what_was_asked_whatever_the_names(
    columns: list[str], pair: tuple[str, str], missing: bool
) -> None:
    asked = Asked(Path("/a folder/use case's.yaml"), FIRST)
    question = Question(tuple(columns), missing=missing, having=(pair,))
    words = shlex.split(asked.command(FIRST - timedelta(days=1), question))
    assert words[:3] == ["flywheel", "rows", "/a folder/use case's.yaml"]
    assert [words[place + 1] for place, word in enumerate(words) if word == "--column"][: len(columns)] == columns
    assert read_having([words[words.index("--having", 3) + 1]]) == (pair,) or "--having" in columns
    assert words[3:7] == ["--start", "2013-03-31", "--end", "2013-04-01"]
