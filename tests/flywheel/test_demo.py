"""The demo's own parts: what it counts must be right, or its figures mean nothing."""

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from aiohttp import web

from flywheel.demo.accounting import account
from flywheel.demo.flights import write_broken_use_case
from flywheel.demo.plan import FULL, SLICE
from flywheel.demo.replay import Answer, replay
from flywheel.demo.story import MARKER, refuse_foreign_home
from flywheel.errors import UsageError
from flywheel.goals import goal, write_goals
from flywheel.settings import Settings
from flywheel.usecase import load_usecase


def answer(request_id: str, status: int = 200) -> Answer:
    return Answer(request_id, "entity", status, "1", 0.5, 0.01)


def records(*rows: tuple[str, int, str, bool | None]) -> pl.DataFrame:
    schema = {"request_id": pl.String, "attempt": pl.Int16, "status": pl.String, "answered": pl.Boolean}
    added = {"row": pl.lit(0, pl.Int16), "arm": pl.lit("champion")}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(**added)


def test_an_answer_without_an_answered_record_is_missing() -> None:
    log = records(("a", 1, "scored", True), ("b", 1, "failed", False))
    seen = account([answer("a"), answer("b"), answer("c")], log)
    assert (seen.answers, seen.missing, seen.doubled) == (3, 2, 0)


def test_a_record_shipped_twice_is_doubled_and_a_retried_attempt_is_not() -> None:
    log = records(
        ("a", 1, "scored", True),
        ("a", 1, "scored", False),
        ("b", 1, "failed", False),
        ("b", 2, "scored", True),
        ("c", 1, "scored", False),
        ("c", 2, "scored", True),
    )
    seen = account([answer("a"), answer("b"), answer("c")], log)
    assert (seen.missing, seen.doubled, seen.attempts) == (0, 1, 6)


def test_what_a_shadow_answered_to_the_same_request_is_no_second_record() -> None:
    log = records(("a", 1, "scored", True))
    shadow = records(("a", 1, "scored", False)).with_columns(arm=pl.lit("shadow"))
    seen = account([answer("a")], pl.concat([log, shadow]))
    assert (seen.missing, seen.doubled) == (0, 0)


def test_a_failed_request_needs_no_record() -> None:
    assert account([answer("a", 503), answer("b", 0)], records()).missing == 0


def test_goals_compare_as_they_say(tmp_path: Path) -> None:
    assert goal("a", 1, "<=", 1).met
    assert goal("a", 1, ">=", 1).met
    assert goal("a", 1, "==", 1).met
    assert not goal("a", 0, ">", 0).met
    write_goals(tmp_path / "new" / "demo.json", [goal("seconds", 601, "<=", 600)], [{"window": "2013-04"}])
    written = orjson.loads((tmp_path / "new" / "demo.json").read_bytes())
    assert written["goals"] == [{"name": "seconds", "value": 601, "target": 600, "comparison": "<=", "met": False}]
    assert written["rows"] == [{"window": "2013-04"}]


def test_plans_cover_consecutive_months_and_the_full_one_enough_requests() -> None:
    for plan in (FULL, SLICE):
        assert all(left.end == right.start for left, right in zip(plan.windows, plan.windows[1:], strict=False))
    assert FULL.requests >= 30_000
    assert FULL.windows[-1].end == datetime(2014, 1, 1)


def test_the_demo_never_erases_a_stack_that_it_did_not_make(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    refuse_foreign_home(settings)
    (tmp_path / "postgres").mkdir()
    with pytest.raises(UsageError, match="did not make"):
        refuse_foreign_home(settings)
    (tmp_path / MARKER).parent.mkdir()
    (tmp_path / MARKER).touch()
    refuse_foreign_home(settings)


def test_the_broken_use_case_fails_for_jfk_after_its_calendar_only(tmp_path: Path) -> None:
    example = Path("examples/flights")
    use_case = load_usecase(example / "usecase.yaml")
    written = write_broken_use_case(example, tmp_path / "broken", use_case, datetime(2013, 8, 1))
    assert load_usecase(written) == use_case
    scope: dict[str, Any] = {}
    source = (written.parent / use_case.features).read_text()
    marker = source.index("# Added by the demo")
    exec("def features(frame):\n    return frame\n" + source[marker:], scope)  # noqa: S102  the text under test
    times = {"origin": ["JFK", "EWR"], use_case.data.event_time: [datetime(2013, 7, 31), datetime(2013, 8, 2)]}
    assert scope["features"](pl.DataFrame(times)).height == 2
    with pytest.raises(ValueError, match="JFK"):
        scope["features"](pl.DataFrame({**times, "origin": ["EWR", "JFK"]}))


@pytest.fixture
def echo_url() -> Iterator[str]:
    """A server that answers each row with its own key, and 503 for odd ones."""

    async def invocations(request: web.Request) -> web.Response:
        split = orjson.loads(await request.read())["dataframe_split"]
        row = dict(zip(split["columns"], split["data"][0], strict=True))
        if row["number"] % 2:
            return web.Response(status=503)
        body = orjson.dumps({"predictions": [{"probability": row["number"] / 100}]})
        return web.Response(body=body, headers={"x-flywheel-version": "7"})

    loop = asyncio.new_event_loop()
    application = web.Application()
    application.router.add_post("/invocations", invocations)
    runner = web.AppRunner(application)
    loop.run_until_complete(runner.setup())
    site = web.TCPSite(runner, "127.0.0.1", 0)
    loop.run_until_complete(site.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/invocations"
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.run_until_complete(runner.cleanup())
    loop.close()


def test_replay_gives_each_row_its_own_answer(echo_url: str) -> None:
    rows = [{"entity": str(number), "number": number} for number in range(100)]
    answers = replay(echo_url, rows, entity="entity")
    assert [seen.entity for seen in answers] == [row["entity"] for row in rows]
    assert [seen.probability for seen in answers] == [None if n % 2 else n / 100 for n in range(100)]
    assert {seen.version for seen in answers if seen.status == 200} == {"7"}
    assert len({seen.request_id for seen in answers}) == 100


def test_replay_keeps_its_pace(echo_url: str) -> None:
    rows = [{"entity": str(number), "number": number} for number in range(50)]
    began = time.monotonic()
    answers = replay(echo_url, rows, entity="entity", pace=100.0)
    assert time.monotonic() - began >= 0.49  # the last of the fifty is due then
    assert [seen.entity for seen in answers] == [row["entity"] for row in rows]


def test_replay_reports_a_server_that_is_not_there() -> None:
    answers = replay("http://127.0.0.1:9/invocations", [{"entity": "a"}], entity="entity")
    assert [(seen.status, seen.probability) for seen in answers] == [(0, None)]
