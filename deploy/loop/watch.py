"""The watch over what is live: what has turned bad since it took over, and which of that sends it back.

A version that fails or is slow is to blame for it itself. A loss that rises may be the world's doing: then a model that
is older still does no better, and nobody scores with it any more who could tell. So only a use case that asks for it
(`rollout.heal`) is healed by its loss; else people are told, and monitoring retrains.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from deploy.loop.interfaces import Observatory, Target
from deploy.loop.rollout import Phase, Rollout
from deploy.loop.vigil import Vigils
from deploy.shares import CHAMPION, ArmCounts, Share

LOSS = "loss"
TOLD = {LOSS: ": nothing says that the version before would do better, so monitoring decides about retraining."}
LEFT = " `rollout.heal` leaves what to do about it to people."


@dataclass(frozen=True)
class Findings:
    """What has turned bad of a version that is live, a sentence each.

    Args:
        bad: By metric, what sends it back.
        told: By metric, what people are told and nothing is done about.
        trouble: Why its loss cannot be watched; "" while it can.
    """

    bad: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""

    @property
    def reason(self) -> str | None:
        """Why it goes back; None: it stays."""
        return " ".join(self.bad.values()) or None

    @property
    def notice(self) -> str:
        """What people are told; "" where there is nothing."""
        trouble = [f"Its loss is not watched: {self.trouble}"] if self.trouble else []
        return " ".join([*self.told.values(), *trouble])


@dataclass(frozen=True)
class Watch:
    """Looks at what is live when that is due. Not for several threads.

    Args:
        target: Has the gateway's counts.
        now: The time, with its zone.
        vigils: Remember; None: nobody watches.
        observatory: Has the losses; None: nobody knows any.
    """

    target: Target
    now: Callable[[], datetime]
    vigils: Vigils | None = None
    observatory: Observatory | None = None

    def is_due(self, reign: Rollout) -> bool:
        """Say whether it is time for a look."""
        return self.vigils is not None and self.vigils.is_due(reign, self.now())

    def look(self, reign: Rollout) -> Findings:
        """Look unless the last look is too young; return what all looks so far have found."""
        if self.vigils is None:
            return Findings()
        found = self._counts(reign, self.vigils) if self.is_due(reign) else self.vigils.bad(reign)
        risen = self._loss(reign, self.vigils)
        sentences: dict[str, str] = {**found, **({LOSS: f"{risen}."} if risen is not None else {})}
        heal: tuple[str, ...] = reign.plan.spec.heal
        told = {name: _told(name, one) for name, one in sentences.items() if name not in heal}
        bad = {name: one for name, one in sentences.items() if name in heal}
        return Findings(bad, told, self.vigils.losses.trouble(reign))

    def _counts(self, reign: Rollout, vigils: Vigils) -> dict[str, str]:
        counts = self.target.counts(Share(reign.new, previous=reign.old if reign.phase is Phase.BAKING else None))
        return vigils.look(reign, self.now(), counts.get(CHAMPION, ArmCounts()))

    def _loss(self, reign: Rollout, vigils: Vigils) -> str | None:
        observatory = self.observatory
        if observatory is None or not vigils.losses.is_due(reign, self.now()):
            return vigils.losses.risen(reign)
        return vigils.losses.look(reign, self.now(), lambda: observatory.losses(reign))


def _told(name: str, sentence: str) -> str:
    return f"{sentence.removesuffix('.')}{TOLD[name]}" if name in TOLD else f"{sentence}{LEFT}"
