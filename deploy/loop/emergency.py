"""What a controller may do without Postgres: send traffic back to the champion, and nothing else.

It goes by the local journal: which rollouts are under way, what was counted of them and how they are judged. Nothing
starts, nothing stops, no step is taken. Once Postgres answers, the next tick finds the traffic where it was sent, and
records the rollback with the looks that led to it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from deploy.desired import Served
from deploy.loop.interfaces import Target
from deploy.loop.journal import Journal
from deploy.loop.looking import Looking
from deploy.loop.plans import RolloutPlan
from deploy.loop.rollout import Phase, Rollout
from deploy.shares import Share
from deploy.verdict import Call


@dataclass(frozen=True)
class Emergency:
    """Goes on looking at what is in traffic while nothing can be recorded."""

    journal: Journal
    target: Target
    now: Callable[[], datetime]
    # A day's looks take seconds to read again.
    _known: dict[str, tuple[Rollout, Looking]] = field(default_factory=dict)

    def tick(self) -> list[str]:
        """Look at every open rollout once; return a sentence for each that is sent back, or cannot be looked at.

        Raises:
            TransientError: The gateway does not answer.
        """
        there = self.journal.open_ones()
        for name in self._known.keys() - there.keys():
            del self._known[name]
        return [said for name, header in there.items() if (said := self._back(name, header))]

    def _back(self, name: str, header: Mapping[str, Any]) -> str | None:
        try:
            found = self._looking(name, header)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as fault:
            return f"The journal of {name} cannot be read ({type(fault).__name__}): its traffic stays as it is."
        if found is None:
            return None
        rollout, looking = found
        share, reason = rollout.share, self.journal.sent_back(name)
        if share is None:
            return None
        if reason is None:
            judged = looking.look(rollout, self.now(), lambda: self.target.counts(share), None)
            if judged is None or judged.call is not Call.ROLL_BACK:
                return None
            if share.champion.version not in self.target.healthy(share.champion.usecase):
                return None  # the new version may be the only copy that answers
            reason = judged.reason
            self.journal.send_back(name, reason)
        self.target.route([Share(share.champion)])
        return f"{share.champion.usecase}: traffic goes back to version {share.champion.version}. {reason}"

    def _looking(self, name: str, header: Mapping[str, Any]) -> tuple[Rollout, Looking] | None:
        known = self._known.get(name)
        if known is None or known[1].is_stale or known[0].since.isoformat() != header["since"]:
            self._known.pop(name, None)
            rollout = self._rollout(name, header)
            if rollout is not None:
                self._known[name] = rollout, Looking.resumed(rollout, self.journal)
        return self._known.get(name)

    def _rollout(self, name: str, header: Mapping[str, Any]) -> Rollout | None:
        """Return a rollout at the step that was confirmed last; None where it has no champion, or none was."""
        if "old" not in header or "step" not in header:
            return None
        plan, started = RolloutPlan.from_json(header), datetime.fromisoformat(header["started"])
        since, step, counters = datetime.fromisoformat(header["since"]), int(header["step"]), header["counters"]
        phase = Phase.CANARY if plan.steps[step] else Phase.SHADOW
        new, old = Served(**header["new"]), Served(**header["old"])
        others = tuple(Served(**one) for one in header.get("others", ()))
        told = {"seq": header["seq"], "others": others, "counters": counters}
        return Rollout(name, new, old, plan, phase, started, since, started, step=step, **told)
