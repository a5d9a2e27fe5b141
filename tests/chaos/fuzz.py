"""Throws broken requests of every protocol at a running agent.

    python -m tests.chaos.fuzz --requests 100000 [--seed N]

What must hold: no answer is the agent's fault (no 5xx, no INTERNAL), none takes longer than `PATIENCE` seconds, each
refusal is JSON with a sentence, and the spool holds exactly one scored record for each row that was answered.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import aiohttp
import grpc
import orjson

from deploy.agent.grpc import open_inference_pb2 as wire
from tests.chaos.fuzz_agent import running
from tests.chaos.mutations import LENGTH, Sound, mutate, sound_requests
from tests.deploy.spool_lines import records_in

PATIENCE = 30.0
AT_ONCE = 32
REFUSED = {400, 404, 405, 413, 415, 422, 429}
# What gRPC says of a refusal; DEADLINE_EXCEEDED, UNAVAILABLE, INTERNAL and UNKNOWN would be faults.
REFUSED_CODES = {"INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED"}
Call: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"
METHOD = "/inference.GRPCInferenceService/ModelInfer"


@dataclass
class Report:
    """What was answered: counts by protocol and status, ids of predictions, and what should not have been."""

    answers: Counter[str] = field(default_factory=Counter)
    ids: list[str] = field(default_factory=list)
    rows: int = 0
    outcomes: int = 0
    faults: list[str] = field(default_factory=list)

    def count(self, request: Sound, status: str) -> None:
        """Count an answer."""
        self.answers[f"{request.kind} {status}"] += 1

    def blame(self, request: Sound, what: str) -> None:
        """Keep a fault with the request that shows it."""
        self.faults.append(f"{request.kind}: {what}: {request.headers} {request.body[:2000]!r}")

    def check_records(self, spool: Path, outcomes: Path) -> None:
        """Hold what is in the two spools against the answers."""
        records = [record for record in records_in(_content(spool)) if record["status"] == "scored"]
        recorded = Counter(record["prediction_id"] for record in records)
        if len(records) != self.rows or max(recorded.values(), default=0) > 1:
            self.faults.append(f"{self.rows} rows were answered, {len(records)} recorded, {len(recorded)} of them once")
        if lost := set(self.ids) - recorded.keys():
            self.faults.append(f"{len(lost)} answered predictions have no record, such as {min(lost)}")
        taken = [orjson.loads(line)["outcome_id"] for line in _content(outcomes).splitlines()]
        if len(taken) != self.outcomes or len(set(taken)) != len(taken):
            self.faults.append(f"{self.outcomes} outcomes were accepted, {len(taken)} recorded, {len(set(taken))} once")


def _content(spool: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(spool.glob("*.jsonl")))


async def fuzz(url: str, grpc_target: str, *, requests: int, seed: int) -> Report:
    """Send so many requests, spread evenly over the forms, and return what was answered."""
    report, corpus = Report(), sound_requests()
    chance = random.Random(seed)  # noqa: S311  # the same requests for the same seed
    todo = iter(range(requests))
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        grpc.aio.insecure_channel(grpc_target) as channel,
    ):
        call: Call = channel.unary_unary(METHOD)

        async def work() -> None:
            for number in todo:
                request = mutate(chance, corpus[number % len(corpus)], corpus)
                if request.kind == "grpc":
                    await _ask_grpc(call, request, report)
                else:
                    await _ask_http(session, url, request, report)

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return report


async def _ask_http(session: aiohttp.ClientSession, url: str, request: Sound, report: Report) -> None:
    try:
        async with session.post(url + request.path, data=request.body, headers=list(request.headers)) as response:
            body = await response.read()
    except (aiohttp.ClientError, TimeoutError) as fault:
        report.blame(request, f"no answer: {type(fault).__name__}")
        return
    report.count(request, str(response.status))
    if response.status == 200:
        _check_answer(request, body, response, report)
    elif response.status not in REFUSED:
        report.blame(request, f"status {response.status}: {body[:200]!r}")
    elif not isinstance(json.loads(body)["error"], dict | str):
        report.blame(request, "a refusal without a sentence")


def _check_answer(request: Sound, body: bytes, response: aiohttp.ClientResponse, report: Report) -> None:
    if request.kind == "feedback":
        report.outcomes += json.loads(body)["accepted"]
        return
    ids = response.headers["x-flywheel-prediction-id"].split(",")
    length = response.headers.get(LENGTH)
    document = json.loads(body if length is None else body[: int(length)])
    rows = document["outputs"][0]["shape"][0] if "outputs" in document else len(document["predictions"])
    if rows != len(ids):
        report.blame(request, f"{len(ids)} ids for {rows} rows")
    report.ids += ids
    report.rows += rows


async def _ask_grpc(call: Call, request: Sound, report: Report) -> None:
    sent = call(request.body, timeout=PATIENCE)
    try:
        answer = wire.ModelInferResponse.FromString(await sent)
    except grpc.aio.AioRpcError as fault:
        report.count(request, fault.code().name)
        if fault.code().name not in REFUSED_CODES:
            report.blame(request, f"{fault.code().name}: {fault.details()}")
        return
    report.count(request, "OK")
    trailing = {name: value for name, value in await sent.trailing_metadata()}  # noqa: C416  # pairs of its own kind
    report.ids += str(trailing["x-flywheel-prediction-id"]).split(",")
    report.rows += answer.outputs[0].shape[0]


def main() -> int:
    """Fuzz an agent started for it; print counts as JSON; return 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.fuzz", description="Fuzz a running agent.")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, running(Path(temporary)) as agent:
        report = asyncio.run(fuzz(agent.url, agent.grpc, requests=options.requests, seed=options.seed))
        report.check_records(agent.spool, agent.outcomes)
    answers = dict(sorted(report.answers.items()))
    told = {
        "requests": options.requests,
        "seed": options.seed,
        "answers": answers,
        "rows": report.rows,
        "outcomes": report.outcomes,
    }
    sys.stdout.write(json.dumps(told | {"faults": len(report.faults), "first": report.faults[:10]}, indent=2) + "\n")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
