"""Lets a controller die by SIGKILL right before and right after what it changes, each time where it is told to.

What changes the world is wrapped, not listed: a transition that is new has its points as soon as it happens. A point is
`before <effect>` or `after <effect>`; it is died at once, for it is crossed off in a file first.
"""

import json
import os
import re
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deploy.local.routing
import deploy.local.upkeep
from deploy.desired import Served
from deploy.loop.journal import Entry, Journal
from deploy.loop.ledger import PostgresLedger
from flywheel.events import EventKind
from flywheel.settings import Settings
from flywheel.stack.supervisor import program_states

BEFORE, AFTER = "before", "after"
EFFECTS, POINTS = "effects.txt", "points.txt"


@dataclass(frozen=True)
class Deaths:
    """Where this process dies.

    Args:
        effects: File of the effects that happened, one a line.
        points: File of the points at which it dies, one a line; each is crossed off.
        usecase: Left out of names, so that two use cases have the same points.
    """

    effects: Path
    points: Path
    usecase: str

    def around(self, name: str, do: Callable[[], Any]) -> Any:
        """Have an effect; die before or after it where that is asked for."""
        shown = name.replace(f"{self.usecase}-", "").replace(self.usecase, "")
        self._die_at(f"{BEFORE} {shown}")
        result = do()
        with self.effects.open("a") as file:
            file.write(f"{shown}\n")
        self._die_at(f"{AFTER} {shown}")
        return result

    def _die_at(self, point: str) -> None:
        left = self.points.read_text().splitlines()
        if point in left:
            rest = self.points.with_suffix(".new")
            rest.write_text("".join(f"{one}\n" for one in left if one != point))
            rest.replace(self.points)
            os.kill(os.getpid(), signal.SIGKILL)


def points_of(effects: Path) -> list[str]:
    """Return the points around all effects that happened, each once, in their order."""
    names = dict.fromkeys(effects.read_text().splitlines())
    return [f"{when} {name}" for name in names for when in (BEFORE, AFTER)]


def install(deaths: Deaths, registry: type[Any]) -> None:
    """Wrap all that a controller changes; `registry` stands for MLflow's."""
    _wrap_ledger(deaths)
    _wrap_journal(deaths)
    _wrap_registry(deaths, registry)
    _wrap_documents(deaths)
    _wrap_programs(deaths)


def _wrap_ledger(deaths: Deaths) -> None:
    record = PostgresLedger.record

    def recorded(self: PostgresLedger, kind: EventKind, subject: str, body: Mapping[str, Any]) -> None:
        told = [str(body[key]) for key in ("version", "state", "step", "cause", "halted") if body.get(key) is not None]
        name = f"record {kind} of {subject.split('/')[1]} {' '.join(told)}"
        deaths.around(name, lambda: record(self, kind, subject, body))

    PostgresLedger.record = recorded  # type: ignore[method-assign]


def _wrap_journal(deaths: Deaths) -> None:
    append = Journal.append

    def appended(self: Journal, rollout: str, entry: Entry) -> None:
        deaths.around(f"look at step {entry.step}", lambda: append(self, rollout, entry))

    Journal.append = appended  # type: ignore[method-assign]


def _wrap_registry(deaths: Deaths, registry: type[Any]) -> None:
    set_alias, archive = registry.set_alias, registry.archive

    def alias_set(self: Any, usecase: str, alias: str, version: str | None) -> None:
        if self._read("aliases").get(alias) != version:
            deaths.around(f"alias {alias} to {version}", lambda: set_alias(self, usecase, alias, version))

    def archived(self: Any, served: Served, reason: str) -> None:
        if self._read("stages").get(served.version) == "Production":
            deaths.around(f"archive {served.version}", lambda: archive(self, served, reason))

    registry.set_alias, registry.archive = alias_set, archived


def _wrap_documents(deaths: Deaths) -> None:
    write: Callable[[Path, dict[str, Any]], bool] = vars(deploy.local.routing)["write_document"]

    def written(path: Path, content: dict[str, Any]) -> bool:
        if path.exists() and json.loads(path.read_text())["version_info"] == content["version_info"]:
            return write(path, content)
        return bool(deaths.around(f"write {path.stem}: {_traffic(content)}", lambda: write(path, content)))

    vars(deploy.local.routing)["write_document"] = written


def _traffic(content: Mapping[str, Any]) -> str:
    """Say what a document routes, without ports: versions and percents in their order."""
    text = json.dumps(content)
    clusters = sorted(set(re.findall(r'"name": "[^"]*?-v(\d+[^"]*)"', text)))
    weights = re.findall(r'"weight": (\d+)', text)
    return f"{' '.join(clusters)} {' '.join(dict.fromkeys(weights))}".strip()


def _wrap_programs(deaths: Deaths) -> None:
    for verb in ("start_program", "stop_and_remove_program"):
        do = getattr(deploy.local.upkeep, verb)

        def done(settings: Settings, name: str, do: Callable[..., None] = do, verb: str = verb) -> None:
            if verb.startswith("start") or name in program_states(settings):
                deaths.around(f"{verb.partition('_')[0]} {name}", lambda: do(settings, name))

        setattr(deploy.local.upkeep, verb, done)
