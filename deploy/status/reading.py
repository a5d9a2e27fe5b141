"""Asks agents, all at once, and the exporter for their pages: who does not answer costs seconds, and a sentence."""

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from deploy.local.places import Place, Role, program_name
from deploy.local.programs import EXPORTER
from deploy.status.page import Page, read_page, read_single, read_values
from flywheel.settings import Settings
from flywheel.stack.probes import request
from flywheel.stack.supervisor import program_address

TIMEOUT_SECONDS = 2.0
AT_ONCE = 16
OLDEST_SECONDS = 60.0  # of what the exporter tells


@dataclass(frozen=True)
class Reading:
    """What was read at one moment.

    Args:
        at: Seconds since 1970.
        pages: Of the agents that answered, by program.
        lags: Of the prediction log in seconds, by use case.
        faults: What did not answer, a sentence each.
    """

    at: float
    pages: Mapping[str, Page] = field(default_factory=dict)
    lags: Mapping[str, float] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


def read(settings: Settings, places: Iterable[Place], clock: Callable[[], float] = time.time) -> Reading:
    """Ask every agent that serves or comes, and the exporter where there is one to ask about."""
    pages, silent = agent_pages(settings, places)
    if not pages and not silent:
        return Reading(clock())
    lags = _lags(settings, clock())
    if isinstance(lags, str):
        silent.append(f"The exporter {lags}: how far behind the log is cannot be told.")
        lags = {}
    return Reading(clock(), pages, lags, tuple(silent))


def agent_pages(settings: Settings, places: Iterable[Place]) -> tuple[dict[str, Page], list[str]]:
    """Ask every agent that serves or comes; return pages by program, and a sentence for each that gave none."""
    agents = {
        program_name("agent", place.served, agent.number): agent
        for place in places
        for agent in place.agents
        if agent.role is not Role.LEAVING
    }
    with ThreadPoolExecutor(AT_ONCE) as pool:
        urls = [f"http://127.0.0.1:{agent.http}/metrics" for agent in agents.values()]
        answers = dict(zip(agents, pool.map(_page, urls), strict=True))
    logs = settings.root / "logs"
    silent = [
        f"{name} does not answer ({answer}): its log is {logs / f'{name}.log'}."
        for name, answer in answers.items()
        if isinstance(answer, str)
    ]
    return {name: answer for name, answer in answers.items() if isinstance(answer, Page)}, silent


def _page(url: str) -> Page | str:
    try:
        return read_page(_text(url))
    except (OSError, ValueError, KeyError) as fault:
        return _reason(fault)


def _lags(settings: Settings, now: float) -> dict[str, float] | str:
    """Return the log's lags by use case, or what is wrong with the exporter."""
    address = program_address(settings, EXPORTER)
    if not address:
        return "was never started"
    try:
        text = _text(address)
        looked = read_single(text, "flywheel_exporter_last_look_timestamp_seconds") or now  # it has just begun
        if now - looked > OLDEST_SECONDS:
            return f"has not looked for {now - looked:.0f} s"
        return read_values(text, "flywheel_log_lag_seconds", "use_case")
    except (OSError, ValueError, KeyError) as fault:
        return f"does not answer ({_reason(fault)})"


def _text(url: str) -> str:
    status, body = request("GET", url, timeout=TIMEOUT_SECONDS)
    if status != 200:
        raise OSError(f"status {status}")
    return body.decode()


def _reason(fault: Exception) -> str:
    if isinstance(fault, ConnectionRefusedError):
        return "nobody listens"
    if isinstance(fault, TimeoutError):
        return f"no answer within {TIMEOUT_SECONDS:.0f} s"
    return str(fault).rstrip(".")
