"""Throws broken requests of every protocol at a running agent.

    python -m tests.chaos fuzz --requests 100000 [--seed N]

What must hold: no answer is the agent's fault (no 5xx, no INTERNAL), none takes longer than `PATIENCE` seconds, each
refusal is JSON with a sentence, and the spool holds exactly one scored record for each row that was answered.
"""

import asyncio
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import aiohttp
import grpc

from deploy.agent.grpc import open_inference_pb2 as wire
from tests.chaos.fuzz_agent import running
from tests.chaos.mutations import LENGTH, Sound, mutate, sound_requests
from tests.chaos.progress import Shown
from tests.chaos.report import Report
from tests.deploy.spool_lines import records_in

PATIENCE = 30.0
AT_ONCE = 32
REFUSED = {400, 404, 405, 413, 415, 422, 429}
# What gRPC says of a refusal; DEADLINE_EXCEEDED, UNAVAILABLE, INTERNAL and UNKNOWN would be faults.
REFUSED_CODES = {"INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED"}
Call: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"
METHOD = "/inference.GRPCInferenceService/ModelInfer"


@dataclass
class Findings:
    """What was answered: counts by protocol and status, ids of predictions, and what should not have been.

    Args:
        answers: Counts by kind of request and status.
        ids: Of the predictions that were answered.
        rows: How many these are.
        outcomes: How many outcomes were accepted.
        faults: What should not have been, with the request that shows it.
        lost: Answers that are not in the spool.
        doubled: What is in the spool more than once.
        worst_seconds: Of one answer.
    """

    answers: Counter[str] = field(default_factory=Counter)
    ids: list[str] = field(default_factory=list)
    rows: int = 0
    outcomes: int = 0
    faults: list[str] = field(default_factory=list)
    lost: int = 0
    doubled: int = 0
    worst_seconds: float = 0.0

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
        # By number: a correction that is taken back says what was said before, and is another outcome all the same.
        taken = len(_content(outcomes).splitlines())
        self.lost += len(set(self.ids) - recorded.keys()) + max(self.outcomes - taken, 0)
        self.doubled += recorded.total() - len(recorded) + max(taken - self.outcomes, 0)
        if recorded.total() != self.rows:
            self.faults.append(f"{self.rows} rows were answered, {recorded.total()} recorded")
        if taken != self.outcomes:
            self.faults.append(f"{self.outcomes} outcomes were accepted, {taken} recorded")


def _content(spool: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(spool.glob("*.jsonl")))


async def fuzz(
    url: str, grpc_target: str, *, requests: int, seed: int, tell: Callable[[int], None] = lambda done: None
) -> Findings:
    """Send so many requests, spread evenly over the forms, and return what was answered."""
    findings, corpus = Findings(), sound_requests()
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
                tell(number)
                began = time.monotonic()
                request = mutate(chance, corpus[number % len(corpus)], corpus)
                if request.kind == "grpc":
                    await _ask_grpc(call, request, findings)
                else:
                    await _ask_http(session, url, request, findings)
                findings.worst_seconds = max(findings.worst_seconds, time.monotonic() - began)

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return findings


async def _ask_http(session: aiohttp.ClientSession, url: str, request: Sound, findings: Findings) -> None:
    try:
        async with session.post(url + request.path, data=request.body, headers=list(request.headers)) as response:
            body = await response.read()
    except (aiohttp.ClientError, TimeoutError) as fault:
        findings.blame(request, f"no answer: {type(fault).__name__}")
        return
    findings.count(request, str(response.status))
    if response.status == 200:
        _check_answer(request, body, response, findings)
    elif response.status not in REFUSED:
        findings.blame(request, f"status {response.status}: {body[:200]!r}")
    elif not isinstance(json.loads(body)["error"], dict | str):
        findings.blame(request, "a refusal without a sentence")


def _check_answer(request: Sound, body: bytes, response: aiohttp.ClientResponse, findings: Findings) -> None:
    if request.kind == "feedback":
        findings.outcomes += json.loads(body)["accepted"]
        return
    ids = response.headers["x-flywheel-prediction-id"].split(",")
    length = response.headers.get(LENGTH)
    document = json.loads(body if length is None else body[: int(length)])
    rows = document["outputs"][0]["shape"][0] if "outputs" in document else len(document["predictions"])
    if rows != len(ids):
        findings.blame(request, f"{len(ids)} ids for {rows} rows")
    findings.ids += ids
    findings.rows += rows


async def _ask_grpc(call: Call, request: Sound, findings: Findings) -> None:
    sent = call(request.body, timeout=PATIENCE)
    try:
        answer = wire.ModelInferResponse.FromString(await sent)
    except grpc.aio.AioRpcError as fault:
        findings.count(request, fault.code().name)
        if fault.code().name not in REFUSED_CODES:
            findings.blame(request, f"{fault.code().name}: {fault.details()}")
        return
    findings.count(request, "OK")
    trailing = {name: value for name, value in await sent.trailing_metadata()}  # noqa: C416  # pairs of its own kind
    findings.ids += str(trailing["x-flywheel-prediction-id"]).split(",")
    findings.rows += answer.outputs[0].shape[0]


def run(*, requests: int, seed: int) -> Report:
    """Fuzz an agent started for it."""
    report = Report("fuzz", requests)
    with tempfile.TemporaryDirectory() as temporary, running(Path(temporary)) as agent:
        with Shown("fuzz", requests) as shown:
            findings = asyncio.run(fuzz(agent.url, agent.grpc, requests=requests, seed=seed, tell=shown.tell))
        findings.check_records(agent.spool, agent.outcomes)
        report.peaks_mb = {"agent": peak_mb(agent.pid)}
    report.done, report.failed = findings.answers.total(), len(findings.faults)
    report.lost, report.doubled = findings.lost, findings.doubled
    report.worst_seconds = round(findings.worst_seconds, 3)
    report.figures = {"seed": seed, "answers": dict(sorted(findings.answers.items())), "rows": findings.rows}
    report.figures["outcomes"] = findings.outcomes
    report.expect(findings.rows > requests / 100, f"only {findings.rows} rows were answered: nothing was shown")
    report.broken += findings.faults[:10]
    return report


def peak_mb(pid: int) -> int:
    """Return the most that a process has ever held resident, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) >> 10
