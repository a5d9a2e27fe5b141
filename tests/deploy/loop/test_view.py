"""How a rollout looks to people: on a terminal of any width, and in a log."""

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from deploy.loop.progress import Progress
from deploy.loop.rollout import Phase
from deploy.loop.view import Lines, gates, picture


def metric(evidence: float | None, *, good: bool | None, sentence: str, worse: bool = False) -> dict[str, Any]:
    found = {} if evidence is None else {"evidence": evidence, "threshold": 100.0}
    return {"worse": worse, "good": good, "holds": False, "sentence": sentence, "statistic": found}


VERDICT = {
    "metrics": {
        "errors": metric(10.0, good=False, sentence="0 of 120 requests to the canary failed, 0 of 11,880."),
        "latency": metric(None, good=None, sentence="3 of 120 requests to the canary took over 0.2 s."),
    }
}
SERVING = {"2": {"backend": "onnx", "replicas": 2, "workers": 0, "why": "Both answer alike."}}
CANARY = Progress(
    "flights",
    "1",
    "2",
    5,
    Phase.CANARY,
    "errors: more evidence is needed.",
    settled=False,
    verdict=VERDICT,
    steps=(0, 1, 5, 25, 50),
    serving=SERVING,
)
LIVE = Progress("rain", "7", None, 100, Phase.DONE, "Live.", settled=True)


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_picture_fits_and_tells_the_way_the_evidence_and_what_goes_on(width: int) -> None:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(picture([CANARY, LIVE]))
    lines = console.export_text().splitlines()
    text = " ".join(" ".join(line.split()) for line in lines)
    assert max(len(line.rstrip()) for line in lines) <= width
    assert "shadow → 1 % → 5 % → 25 % → 50 % → 100 %" in text
    assert "██████████·········· 50%" in text
    assert "guards" in text
    assert "rain version 7 is live" in text
    assert "version 2: onnx, 2 agents. Both answer alike." in text


def test_a_reason_with_a_log_is_told_once() -> None:
    why = "Its environment cannot be built: the index is down. The end of its log:\nerror: refused\ncause: 111"
    serving = {"2": {"backend": None, "replicas": 0, "workers": 0, "why": why}}
    starting = replace(CANARY, phase=Phase.STARTING, percent=0, verdict={}, reason=why, serving=serving)
    over = replace(LIVE, usecase="flights", phase=Phase.ROLLED_BACK, reason=f"Version 2 was rolled back: {why}")
    console = Console(width=200, file=io.StringIO(), record=True)
    lines = Lines(console)
    for one in (starting, starting, replace(starting, phase=Phase.ROLLING_BACK), over):
        lines.show([one])
    told = console.export_text()
    assert told.count("the index is down") == 1
    assert told.splitlines()[3:] == [
        "flights: version 2 rolling back, 0 % of traffic. The reason stands above.",
        "flights: version 7 is live. Version 2 was rolled back: the reason stands above.",
    ]
    later = Lines(console)  # what does not change the state is no line, and tells nothing
    before = replace(starting, reason="It is starting.", serving={})
    for one in (before, starting, replace(starting, phase=Phase.ROLLING_BACK)):
        later.show([one])
    assert console.export_text().count("the index is down") == 1
    console.print(picture([starting]))
    assert console.export_text().count("the index is down") == 1


def test_evidence_counts_by_its_logarithm_and_an_open_gate_is_whole() -> None:
    assert gates(VERDICT) == {"errors": 0.5}
    assert gates({"metrics": {"errors": metric(1e9, good=False, sentence="")}}) == {"errors": 0.99}
    assert gates({"metrics": {"errors": metric(101, good=True, sentence="")}}) == {"errors": 1.0}
    assert gates({}) == {}


def test_a_log_has_a_line_for_each_change_and_each_quarter_of_the_evidence() -> None:
    console = Console(width=200, file=io.StringIO(), record=True)
    lines = Lines(console)
    for evidence in (1.0, 1.5, 5.0, 9.0, 40.0):
        found = {"metrics": {"errors": metric(evidence, good=False, sentence="")}}
        lines.show([replace(CANARY, verdict=found)])
    lines.show([replace(CANARY, phase=Phase.PROMOTING, percent=100, verdict={})])
    told = console.export_text().splitlines()
    assert told[0].startswith("flights: version 2 canary, 5 % of traffic, evidence on errors 0%.")
    assert [line for line in told if "onnx" in line] == ["flights: version 2: onnx, 2 agents. Both answer alike."]
    assert len(told) == 1 + 1 + 2 + 1
