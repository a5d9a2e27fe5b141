"""One record among many: found whatever commits, compactions and new inputs came before."""

from pathlib import Path

import pyarrow as pa
import uuid_utils
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.storage import ROW_GROUP, PredictionLog
from tests.flywheel.test_storage import rows


def block(ids: list[str], **inputs: tuple[str, object]) -> pa.Table:
    found = rows(len(ids), **inputs)  # type: ignore[arg-type]
    return found.set_column(found.schema.get_field_index("prediction_id"), "prediction_id", pa.array(ids, pa.string()))


def test_a_record_is_found_before_and_after_compaction_and_by_a_log_that_was_open(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    blocks = [[str(uuid_utils.uuid7()) for _ in range(ROW_GROUP + 5)] for _ in range(3)]
    assert log.find("tiny", blocks[0][0]) is None
    for number, ids in enumerate(blocks):
        log.append("tiny", "predictions", block(ids, a=("double", 1.5)), f"s{number}", 1)
        found = log.find("tiny", ids[-1])
        assert found is not None
        assert (found["prediction_id"], found["inputs"]["a"]) == (ids[-1], 1.5)
    PredictionLog(tmp_path).compact("tiny", "predictions")
    for ids in blocks:
        for wanted in (ids[0], ids[ROW_GROUP - 1], ids[ROW_GROUP], ids[-1]):
            found = log.find("tiny", wanted)
            assert found is not None
            assert found["prediction_id"] == wanted
    assert log.find("tiny", str(uuid_utils.uuid7())) is None
    assert log.find("tiny", "no id at all") is None
    assert log.count("tiny", "predictions") == 3 * (ROW_GROUP + 5)


@settings(max_examples=25, deadline=None)
@given(parts=st.lists(st.lists(st.text("abc-", max_size=3), min_size=1, max_size=5), min_size=1, max_size=4))
def test_any_text_is_found_exactly_where_it_is(tmp_path_factory: object, parts: list[list[str]]) -> None:
    folder = Path(tmp_path_factory.mktemp("log"))  # type: ignore[attr-defined]
    log = PredictionLog(folder)
    for number, ids in enumerate(parts):
        log.append("tiny", "predictions", block(ids), f"s{number}", 1)
    there = {one for ids in parts for one in ids}
    for wanted in there | {"", "a", "cc", "ä"}:
        assert (log.find("tiny", wanted) is not None) == (wanted in there)
