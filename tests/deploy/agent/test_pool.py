"""Several workers as one backend: one that hangs, dies or comes back costs no batch while another lives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest
from aiohttp import web

from deploy.agent.backends.backend import ScorerError, ScorerUnreachableError
from deploy.agent.backends.pool import Pool
from deploy.agent.backends.worker import Worker
from tests.deploy.conftest import row
from tests.deploy.tiny_contract import CONTRACT

ROWS = [CONTRACT.validate_row(row(chance=0.25))]


class Server:
    """A small stand-in for `mlflow models serve`, whose own process takes 15 s to start: it hangs and fails at will."""

    def __init__(self) -> None:
        self.asked = 0
        self.status = 200
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def invocations(self, request: web.Request) -> web.Response:
        self.asked += 1
        rows = orjson.loads(await request.read())["inputs"]["chance"]
        await self.may_answer.wait()
        return web.json_response({"predictions": [{"probability": 0.5} for _ in rows]}, status=self.status)

    async def ping(self, request: web.Request) -> web.Response:
        await self.may_answer.wait()
        return web.Response()


@asynccontextmanager
async def pool_of(count: int) -> AsyncIterator[tuple[Pool, list[Server], list[web.AppRunner]]]:
    servers, runners, urls = [Server() for _ in range(count)], [], []
    for server in servers:
        app = web.Application()
        app.router.add_post("/invocations", server.invocations)
        app.router.add_get("/ping", server.ping)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        runners.append(runner)
        urls.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
    async with Pool([Worker(url, CONTRACT) for url in urls]) as pool:
        yield pool, servers, runners
    for server in servers:
        server.may_answer.set()
    for runner in runners:
        await runner.cleanup()


async def test_a_worker_that_hangs_leaves_time_for_another() -> None:
    async with pool_of(2) as (pool, servers, _):
        servers[0].may_answer.clear()
        assert await pool.score(ROWS, 1.0) == [{"probability": 0.5}]
        assert [server.asked for server in servers] == [1, 1]
        assert pool.live == 1


async def test_a_worker_that_is_broken_is_passed_by_until_it_answers_again() -> None:
    async with pool_of(2) as (pool, servers, _):
        servers[0].may_answer.clear()
        await pool.score(ROWS, 0.5)
        for _ in range(3):
            both = await asyncio.gather(pool.score(ROWS, 2.0), pool.score(ROWS, 2.0))
            assert [list(one) for one in both] == [[{"probability": 0.5}]] * 2
        assert servers[0].asked == 1
        servers[0].may_answer.set()
        assert await pool.answers(2.0)
        assert pool.live == 2
        await asyncio.gather(pool.score(ROWS, 2.0), pool.score(ROWS, 2.0))
        assert servers[0].asked == 2


async def test_a_worker_that_died_is_replaced_at_once() -> None:
    async with pool_of(2) as (pool, servers, runners):
        await runners[0].cleanup()
        assert await pool.score(ROWS, 5.0) == [{"probability": 0.5}]
        assert servers[1].asked == 1


async def test_a_batch_that_a_worker_refuses_is_not_asked_again() -> None:
    async with pool_of(2) as (pool, servers, _):
        servers[0].status = servers[1].status = 500
        with pytest.raises(ScorerError):
            await pool.score(ROWS, 5.0)
        assert sum(server.asked for server in servers) == 1


async def test_with_all_workers_gone_it_says_so_in_time() -> None:
    async with pool_of(2) as (pool, servers, _):
        for server in servers:
            server.may_answer.clear()
        began = asyncio.get_running_loop().time()
        with pytest.raises(ScorerUnreachableError):
            await pool.score(ROWS, 0.4)
        assert asyncio.get_running_loop().time() - began < 5
        assert not await pool.answers(0.1)
        assert pool.live == 0


async def test_a_call_that_had_hardly_any_time_breaks_no_worker() -> None:
    async with pool_of(1) as (pool, servers, _):
        servers[0].may_answer.clear()
        with pytest.raises(ScorerUnreachableError):
            await pool.score(ROWS, 0.01)
        assert pool.live == 1
