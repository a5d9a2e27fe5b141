"""The vigil over what is live: has a version turned bad since it took over? By the gateway's counts, for months.

What it may do is fixed at its promotion, from the counts of its own rollout; of a version that had none, such as the
first one, from its first requests. The state of each use case is one small file, HOME/run/vigils/<use case>.json, so
that a restart goes on where the last controller was.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from deploy.desired import Served
from deploy.loop.looking import difference, read_counters, written
from deploy.loop.loss_vigil import LossVigils
from deploy.loop.rollout import Rollout
from deploy.shares import CHAMPION, ArmCounts
from deploy.verdict.watching import Alarms, RateWatch, ShareWatch, rate_watch, share_watch
from flywheel.connections import write_private

EVERY = timedelta(seconds=10)
# One false alarm in ten years of looks, each metric.
ALARMS = Alarms(a_year=0.1, looks_a_year=365 * 86_400 / EVERY.total_seconds())
# Requests of the rollout that say what a version may do; with fewer it is learned from as many of its own.
LEAST_REQUESTS, LEARNED_REQUESTS = 500, 2000
# How much worse is still not worth an alarm, by what is counted; and the slow requests that are none in any case.
TOLERANCES = {"errors": 1.25, "latency": 2.0}
LEAST_SLOW = 0.01
# Beyond so many requests what was lately counts half.
RECENT_REQUESTS = 50_000
KEPT = ("counters", "seen", "lately")

Watch = RateWatch | ShareWatch


@dataclass
class State:
    """What is kept of one version's time.

    Args:
        rollout: That brought it.
        at: The last look.
        counters: The gateway's, at that look.
        seen: What was counted while nothing is fixed yet.
        watches: By metric.
        lately: Of the version's requests the latest, at most twice RECENT_REQUESTS; the gateway forgets what it counted
            each time that the version's place there changes.
        digest: The version's.
    """

    rollout: str
    at: datetime
    counters: ArmCounts
    seen: ArmCounts = field(default_factory=ArmCounts)
    watches: dict[str, Watch] = field(default_factory=dict)
    lately: ArmCounts = field(default_factory=ArmCounts)
    digest: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        watches = {name: watch.to_json() for name, watch in self.watches.items()}
        counts = {name: written(vars(self)[name]) for name in ("counters", "seen", "lately")}
        return {"rollout": self.rollout, "at": self.at.isoformat(), **counts, "watches": watches, "digest": self.digest}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> "State":
        """Read what `to_json` wrote."""
        counts = read_counters({name: body.get(name, {"requests": 0, "errors": 0, "slow": {}}) for name in KEPT})
        kinds: dict[str, type[Watch]] = {"errors": RateWatch, "latency": ShareWatch}
        watches = {name: kinds[name].from_json(one) for name, one in body["watches"].items()}
        at = datetime.fromisoformat(body["at"])
        return cls(body["rollout"], at, watches=watches, digest=body.get("digest", ""), **counts)


class Vigils:
    """The vigils over all use cases of a home. Not for several threads.

    Args:
        folder: Of the files.

    Attributes:
        losses: The vigils over their losses, whose files lie beside these.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.losses = LossVigils(folder)

    def is_due(self, reign: Rollout, now: datetime) -> bool:
        """Say whether it is time for another look at what a rollout brought."""
        state = self._read(reign)
        return state is None or now - state.at >= EVERY

    def look(self, reign: Rollout, now: datetime, counters: ArmCounts) -> dict[str, str]:
        """Take in what the gateway counted of the champion; return what has turned bad, by metric."""
        state = self._read(reign)
        if state is None:
            state = State(reign.name, now, counters, watches=watches_of(reign.reference), digest=reign.new.digest)
        new = difference({CHAMPION: counters}, {CHAMPION: state.counters})[CHAMPION]
        state.at, state.counters, state.lately = now, counters, _with(state.lately, new)
        if state.watches:
            state.watches = {name: watch.take(*_bad(name, new, reign)) for name, watch in state.watches.items()}
        else:
            _learn(state, new, reign)
        with suppress(OSError):  # a full disk: the next look counts from the last one that was kept
            self._write(reign, state)
        return _told(state)

    def bad(self, reign: Rollout) -> dict[str, str]:
        """Return what has turned bad so far, by metric."""
        state = self._read(reign)
        return _told(state) if state is not None else {}

    def lately(self, served: Served) -> ArmCounts | None:
        """Return the latest requests of a version that is live, as far as anybody has watched it."""
        state = self._known(served.usecase)
        return state.lately if state is not None and state.digest == served.digest else None

    def _read(self, reign: Rollout) -> State | None:
        state = self._known(reign.new.usecase)
        return state if state is not None and state.rollout == reign.name else None

    def _known(self, usecase: str) -> State | None:
        try:
            return State.from_json(json.loads(self._path(usecase).read_text()))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _write(self, reign: Rollout, state: State) -> None:
        write_private(self._path(reign.new.usecase), json.dumps(state.to_json()))

    def _path(self, usecase: str) -> Path:
        return self._folder / f"{usecase}.json"


def _with(lately: ArmCounts, new: ArmCounts) -> ArmCounts:
    """Add new requests; what is old counts half each time that there are many."""
    return _sum(lately, new, 0.5 if lately.requests > RECENT_REQUESTS else 1.0)


def _sum(before: ArmCounts, new: ArmCounts, part: float = 1.0) -> ArmCounts:
    """Add counts, of the ones before a part."""
    slow = {bound: round(part * before.slow.get(bound, 0)) + count for bound, count in new.slow.items()}
    return ArmCounts(round(part * before.requests) + new.requests, round(part * before.errors) + new.errors, slow)


def _told(state: State) -> dict[str, str]:
    return {name: f"{name}: {one.reading().sentence}" for name, one in state.watches.items() if one.worse}


def watches_of(reference: Mapping[str, Any]) -> dict[str, Watch]:
    """Return the watches that a rollout's own counts fix; none where they are too few, or too bad.

    Args:
        reference: By metric, requests of the version in its rollout and how many of them were bad.
    """
    found: dict[str, Watch] = {}
    for name, counts in reference.items():
        if name in TOLERANCES and counts["requests"] >= LEAST_REQUESTS:
            try:
                found[name] = _watch(name, counts["bad"], counts["requests"])
            except ValueError:
                continue
    return found


def _watch(name: str, bad: int, requests: int) -> Watch:
    if name == "errors":
        return rate_watch(bad, requests, ALARMS, tolerance=TOLERANCES[name])
    return share_watch(bad, requests, ALARMS, least=LEAST_SLOW, tolerance=TOLERANCES[name])


def _learn(state: State, new: ArmCounts, reign: Rollout) -> None:
    state.seen = _sum(state.seen, new)
    if state.seen.requests >= LEARNED_REQUESTS:
        names = ("errors", "latency") if _bound(reign) is not None else ("errors",)
        counted = {name: _bad(name, state.seen, reign) for name in names}
        state.watches = watches_of({name: {"bad": bad, "requests": total} for name, (bad, total) in counted.items()})


def _bad(name: str, counts: ArmCounts, reign: Rollout) -> tuple[int, int]:
    if name == "errors":
        return counts.errors, counts.requests
    bound = _bound(reign)
    return (counts.slow.get(bound, 0) if bound is not None else 0), counts.requests


def _bound(reign: Rollout) -> float | None:
    """Return the seconds over which a rollout's requests were slow, at its p99; None where it had none."""
    plan = reign.plan.traffic
    metrics = plan.metrics.values() if plan is not None else ()
    return next((metric.seconds.p99 for metric in metrics if metric.kind == "latency"), None)
