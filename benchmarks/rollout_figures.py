"""What the trail and the client's answers say of rollouts: failures, the split at each step, and times. Pure.

Both have the same clock, since both ran on one machine.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.rollout_run import Answers
from flywheel.events import Event, EventKind

# Envoy's workers take a route a moment after its main thread has; answers of that moment belong to no step.
SETTLE_SECONDS = 0.25
ENDS = (EventKind.ROLLOUT_PROMOTED, EventKind.ROLLOUT_ROLLED_BACK)


@dataclass(frozen=True)
class Step:
    """Requests at one step of all promotions, and the share of them that the new version answered."""

    percent: int
    requests: int
    share: float

    @property
    def noise(self) -> float:
        """Three standard errors of the share, were it as configured."""
        part = self.percent / 100
        return float(3 * np.sqrt(part * (1 - part) / max(self.requests, 1)))


@dataclass(frozen=True)
class Change:
    """One change of all traffic: from the verdict on record to the confirmation on record, seconds.

    Args:
        kind: Promotion or rollback.
        seconds: From intent to done.
        last_old: From the intent to the last answer of the version that goes; negative when it had none after.
    """

    kind: EventKind
    seconds: float
    last_old: float


@dataclass(frozen=True)
class Figures:
    """All that was measured."""

    requests: int
    failed: int
    unnamed: int
    steps: tuple[Step, ...]
    changes: tuple[Change, ...]

    @property
    def split_error(self) -> float:
        """The largest difference between the measured and the configured share of a step."""
        return max((abs(one.share - one.percent / 100) for one in self.steps), default=float("nan"))

    def quantile(self, share: float, kind: EventKind | None = None) -> float:
        """Return a quantile of the seconds from verdict to confirmed route."""
        taken = sorted(one.seconds for one in self.changes if kind in {None, one.kind})
        return taken[min(int(len(taken) * share), len(taken) - 1)] if taken else float("nan")

    def times(self) -> Iterator[dict[str, Any]]:
        """Return a row for each way."""
        for kind in ENDS:
            mine = [one for one in self.changes if one.kind == kind]
            if mine:
                yield {
                    "way": str(kind),
                    "swaps": len(mine),
                    "p50_s": self.quantile(0.5, kind),
                    "p99_s": self.quantile(0.99, kind),
                    "worst_s": max(one.seconds for one in mine),
                    "last_old_worst_s": max(one.last_old for one in mine),
                }

    def rows(self) -> list[Mapping[str, Any]]:
        """Return all of it for the JSON report."""
        steps = [{"percent": s.percent, "requests": s.requests, "share": s.share, "noise": s.noise} for s in self.steps]
        return [{"requests": self.requests, "failed": self.failed, "unnamed": self.unnamed}, *steps, *self.times()]


def figures_of(events: Sequence[Event], answers: Answers) -> Figures:
    """Put the trail and the answers together."""
    good = answers["code"] == 200
    began = float(answers["due"].min())
    told = [one for one in events if one.kind.startswith("rollout.")]
    before = {one.body["rollout"] for one in told if one.at.timestamp() <= began}
    mine = [one for one in told if one.body["rollout"] not in before]
    return Figures(
        requests=len(good),
        failed=int((~good).sum()),
        unnamed=int((good & (answers["version"] == 0)).sum()),
        steps=tuple(_steps(mine, answers)),
        changes=tuple(_changes(mine, answers)),
    )


def _steps(events: Sequence[Event], answers: Answers) -> Iterator[Step]:
    """Pool the answers of each step over all promotions: from its confirmation to the next intent."""
    promoted = {one.body["rollout"] for one in events if one.kind == EventKind.ROLLOUT_PROMOTED}
    counted: dict[int, list[int]] = {}
    for before, after in _pairs(events):
        if before.kind == EventKind.ROLLOUT_STEP and before.body["rollout"] in promoted:
            inside = answers["due"] > before.at.timestamp() + SETTLE_SECONDS
            inside &= answers["done"] < after.at.timestamp()
            version = float(before.subject.split("/")[1])
            count = counted.setdefault(int(before.body["percent"]), [0, 0])
            count[0] += int(inside.sum())
            count[1] += int((inside & (answers["version"] == version)).sum())
    for percent, (requests, new) in sorted(counted.items()):
        yield Step(percent, requests, new / requests if requests else float("nan"))


def _pairs(events: Sequence[Event]) -> Iterator[tuple[Event, Event]]:
    """Return each confirmation of a rollout with the event that follows it."""
    for name in dict.fromkeys(one.body["rollout"] for one in events):
        own = [one for one in events if one.body["rollout"] == name]
        for before, after in pairwise(own):
            if before.body.get("state") == "done":
                yield before, after


def _changes(events: Sequence[Event], answers: Answers) -> Iterator[Change]:
    for done in (one for one in events if one.kind in ENDS and one.body["state"] == "done"):
        intent = next(
            one
            for one in events
            if one.kind == done.kind and one.body["rollout"] == done.body["rollout"] and one.body["state"] == "intent"
        )
        seconds = (done.at - intent.at).total_seconds()
        yield Change(done.kind, seconds, _last_old(events, done, answers) - intent.at.timestamp())


def _last_old(events: Iterable[Event], done: Event, answers: Answers) -> float:
    """Return when the version that goes answered last, before the next rollout begins (seconds since 1970)."""
    started = next(
        one for one in events if one.kind == EventKind.ROLLOUT_STARTED and one.body["rollout"] == done.body["rollout"]
    )
    back = done.kind == EventKind.ROLLOUT_ROLLED_BACK
    goes = float(started.body["version"] if back else started.body["champion"]["version"])
    own = answers["done"][answers["version"] == goes]
    return float(own.max()) if len(own) else float("-inf")
