"""The way of each task from a request to a decision: agent, record, log, outcomes as a file, window, verdict."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest
from aiohttp import web

from deploy.agent.backends.worker import Worker
from deploy.agent.dataplane import DataPlane, Row
from deploy.agent.limits import Limits
from deploy.agent.recording import Caller, Identity
from deploy.agent.spool import Spool
from deploy.log.shipper import drain
from deploy.outcomes import record_file
from flywheel.contract import Column, Contract, Output
from flywheel.digest import folder_digest
from flywheel.errors import DataError
from flywheel.profile import Reference
from flywheel.storage import PredictionLog
from flywheel.usecase import Task, parse_usecase
from monitoring.packages import Packages, digests_by_version
from monitoring.performance.harm import Decision, Verdict
from monitoring.performance.judgement import judge, keyless_note
from monitoring.windows.window import Span, read_window
from tests.monitoring.flights_package import USE_CASE, write_model

START, DAYS, ROWS = datetime(2013, 4, 1), 30, 12
END = START + timedelta(days=DAYS)
NAMES = ("heavy rain", "rain", "Rain", "01")  # as people name classes


@dataclass(frozen=True)
class Case:
    """A task: what its version answers to an input `x`, how good that was, and what becomes true.

    `truth` draws an outcome from x; `shifted` one from a world in which the version is wrong.
    """

    task: Task
    outputs: tuple[tuple[str, str], ...]
    answer: Callable[[float], dict[str, float | str | bool]]
    reference: Reference
    truth: Callable[[np.random.Generator, float], float | str]
    shifted: Callable[[np.random.Generator, float], float | str]


def classes_of(x: float) -> dict[str, float | str | bool]:
    return {"prediction": NAMES[0]} | {f"probability_{name}": share for name, share in zip(NAMES, SHARES, strict=True)}


SHARES = (0.7, 0.1, 0.1, 0.1)
ENTROPY = -float(np.sum(np.array(SHARES) * np.log(SHARES)))
CASES = [
    Case(
        "binary",
        (("probability", "double"), ("decision", "boolean")),
        lambda x: {"probability": 0.3, "decision": False},
        Reference(loss=0.611, standard_error=0.005, rows=1000, roc_auc=0.5),
        lambda random, x: float(random.uniform() < 0.3),
        lambda random, x: float(random.uniform() < 0.8),
    ),
    Case(
        "multiclass",
        (("prediction", "string"), *((f"probability_{name}", "double") for name in NAMES)),
        classes_of,
        Reference(loss=ENTROPY, standard_error=0.005, rows=1000),
        lambda random, x: str(random.choice(NAMES, p=SHARES)),
        lambda random, x: str(random.choice(NAMES, p=SHARES[::-1])),
    ),
    Case(
        "regression",
        (("prediction", "double"),),
        lambda x: {"prediction": 100 * x},
        Reference(loss_name="squared_error", loss=25.0, standard_error=0.5, rows=1000),
        lambda random, x: 100 * x + random.normal(0, 5),
        lambda random, x: 100 * x + random.normal(10, 5),
    ),
]


def contract_of(case: Case) -> Contract:
    outputs = tuple(Output.model_validate({"name": name, "type": kind}) for name, kind in case.outputs)
    columns = (Column(name="at", type="datetime", nullable=False), Column(name="x", type="double", nullable=True))
    return Contract(columns=columns, event_time="at", entity="key", outputs=outputs)


@asynccontextmanager
async def scoring(case: Case) -> AsyncIterator[str]:
    """Serve what `mlflow models serve` would answer."""

    async def invocations(request: web.Request) -> web.Response:
        _, second, *_ = (await request.json())["inputs"].values()
        return web.json_response({"predictions": [case.answer(value) for value in second]})

    app = web.Application()
    app.router.add_post("/invocations", invocations)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}"
    await runner.cleanup()


async def ask(home: Path, case: Case, name: str, digest: str, requests: Sequence[list[Row]]) -> list[Any]:
    """Send requests through the agent's data plane, and note them as the gateway does; return the answers' outputs."""
    contract, answers = contract_of(case), []
    lines = home / "logs" / "gateway.jsonl"
    lines.parent.mkdir(parents=True, exist_ok=True)
    limits = Limits()
    with Spool(home / "spool" / f"{name}-v1", contract.model_dump_json().encode(), limits) as spool:
        async with scoring(case) as url, Worker(url, contract) as scorer:
            plane = DataPlane(
                Identity(name, "1", digest), contract, score=scorer.score, append=spool.append, limits=limits
            )
            task = asyncio.create_task(plane.batcher.run())
            with lines.open("ab") as gateway:
                for number, rows in enumerate(requests):
                    request = f"r{number}"
                    answers += (await plane.predict(rows, Caller(request))).predictions
                    line = {"time": "2026-01-01T05:00:00Z", "request_id": request, "route": name, "code": 200}
                    gateway.write(orjson.dumps(line | {"attempts": 1}, option=orjson.OPT_APPEND_NEWLINE))
            task.cancel()
    return answers


def through_the_loop(
    home: Path, case: Case, outcome_of: Callable[[np.random.Generator, float], float | str]
) -> Decision:
    random = np.random.default_rng(7)
    use_case = parse_usecase(USE_CASE | {"name": f"loop-{case.task}", "task": case.task}, "here")
    name = use_case.name
    document = USE_CASE | {"name": name, "task": case.task}
    folder = write_model(home / "packages" / name / "1-0", case.reference, document, contract_of(case))
    times = [START + timedelta(days=day, minutes=row) for day in range(DAYS) for row in range(ROWS)]
    rows: list[dict[str, Any]] = [
        {"at": at.isoformat(), "x": random.uniform(), "key": f"k{n}"} for n, at in enumerate(times)
    ]
    requests: list[list[Row]] = [list(rows[first : first + ROWS]) for first in range(0, len(rows), ROWS)]
    answers = asyncio.run(ask(home, case, name, folder_digest(folder), requests))
    assert answers == [case.answer(row["x"]) for row in rows]
    drain(home)
    facts = {
        "entity": [row["key"] for row in rows],
        "outcome": [outcome_of(random, row["x"]) for row in rows],
        "event_time": [row["at"] for row in rows],
        "time_known": [row["at"] for row in rows],
    }
    pl.DataFrame(facts).write_csv(home / "outcomes.csv")
    assert record_file(home / "log", name, home / "outcomes.csv") == (len(rows), True)
    window = read_window(PredictionLog(home / "log"), use_case, Span(START, END, END))
    packages = Packages(home, name).answering(digests_by_version(window.rows))
    return judge(window, packages, use_case).decision


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.task)
def test_a_task_goes_from_request_to_decision_and_only_a_changed_world_is_harm(case: Case, tmp_path: Path) -> None:
    same = through_the_loop(tmp_path / "same", case, case.truth)
    assert (same.verdict, same.numbers.rows) == (Verdict.QUIET, DAYS * ROWS)
    assert same.numbers.loss == pytest.approx(case.reference.loss, rel=0.15)
    changed = through_the_loop(tmp_path / "changed", case, case.shifted)
    assert changed.verdict is Verdict.HARM
    title = "Squared error" if case.task == "regression" else "Log-loss"
    assert changed.reason.startswith(title)


def test_a_version_of_another_task_is_a_fault_that_names_it(tmp_path: Path) -> None:
    through_the_loop(tmp_path, CASES[2], CASES[2].truth)
    other = parse_usecase(USE_CASE | {"name": "loop-regression", "task": "binary"}, "here")
    window = read_window(PredictionLog(tmp_path / "log"), other, Span(START, END, END))
    packages = Packages(tmp_path, other.name).answering(digests_by_version(window.rows))
    with pytest.raises(DataError, match="Version 1 was trained for regression, and this use case is binary"):
        judge(window, packages, other)


def test_predictions_without_their_key_are_named() -> None:
    rows = pl.DataFrame({"entity": ["a", None, None]}, schema={"entity": pl.String})
    assert keyless_note(rows, "day").startswith(" 2 predictions came without their key 'day'")
    assert keyless_note(rows.head(1), "day") == ""
    assert keyless_note(rows, None) == ""
