"""The registry's gate over the world's tables: who may do what is asked of the real rules, which are pure.

The store itself (MLflow on Postgres) is left out: it takes milliseconds a call, where a history makes hundreds; that it
asks these rules under the chain's lock is tested in tests/registry.
"""

from collections.abc import Mapping
from typing import Any

from deploy.desired import PRODUCTION
from flywheel.events import EventKind
from flywheel.identities import CONTROLLER
from flywheel.rollbacks import failure
from registry.history.champions import Good, Move, Unfit, by_alias, decisions, last_good
from registry.policy.facts import Facts
from registry.policy.reviews import KINDS, read_reviews
from registry.policy.rules import (
    ARCHIVED,
    Allowed,
    Refused,
    Transition,
    judge_alias,
    judge_override,
    judge_review,
    judge_traffic,
    judge_transition,
)
from tests.simulation.world import World


class Gate:
    """One registry; what it refuses changes nothing."""

    def __init__(self, world: World) -> None:
        self._world = world

    def move(self, actor: str, usecase: str, version: str, target: str, *, override: bool = False) -> bool:
        """Move a version to a stage; return whether the rules allowed it."""
        facts, stage = self._facts(usecase, version), self._world.stages[usecase, version]
        asked = Transition(usecase, version, facts.author, stage, target, failure=facts.failure)
        policy = self._world.policy
        verdict = judge_transition(actor, asked, policy, facts)
        if override:
            verdict = judge_override(actor, asked, facts, policy)
        if not self._allowed(verdict):
            self._world.say(f"refused: {actor} may not move {usecase}/{version} to {target}")
            return False
        self._move(actor, usecase, version, {"to": target, "digest": facts.digest if target == PRODUCTION else None})
        return True

    def review(self, actor: str, usecase: str, version: str, decision: str) -> bool:
        """Say something of a version; return whether the rules allowed it."""
        facts = self._facts(usecase, version)
        if not self._allowed(judge_review(actor, decision, facts, self._world.policy)):
            return False
        body = {"comment": "because", "digest": facts.digest}
        self._world.append(KINDS[decision], f"{usecase}/{version}", actor, body)
        return True

    def alias(self, usecase: str, alias: str, version: str | None) -> None:
        """Move an alias as the controller.

        Raises:
            AssertionError: The rules refuse it, which no controller may ask for.
        """
        assert self._allowed(judge_alias(CONTROLLER, alias))
        if version is None:
            self._world.aliases.pop((usecase, alias), None)
        else:
            reached = any(one.digest for one in decisions(self._moves(usecase, version)))
            verdict = judge_traffic(alias, version, approved=reached)
            assert self._allowed(verdict), f"the gate refuses the controller: {verdict}"
            self._world.aliases[usecase, alias] = version
        body = {"model": usecase, "alias": alias, "version": version}
        self._world.append(EventKind.ALIAS_MOVED, usecase, CONTROLLER, body)

    def roll_back(self, actor: str, usecase: str) -> str | None:
        """Go back to the last good champion, as registry.history.rollback plans it; return its version."""
        world = self._world
        if actor not in world.policy.allowed(*world.policy.may.operate):
            return None
        moves = [
            Move(one.seq, one.at, one.body["version"])
            for one in world.events
            if one.kind == EventKind.ALIAS_MOVED and one.subject == usecase and one.body["alias"] == "champion"
        ]
        live = [version for (name, version), stage in world.stages.items() if name == usecase and stage == PRODUCTION]
        reigns = by_alias(moves)
        present = reigns[-1].version if reigns and reigns[-1].until is None else None
        coming = present in live and len(live) > 1
        target = last_good(reigns, None if coming else present, lambda version: self._judge(usecase, version))
        if not isinstance(target, Good) or (target.version == present and live == [present]):
            return None
        for version in live:
            if version != target.version:
                self._move(actor, usecase, version, {"to": ARCHIVED, "digest": None, "rollback_to": target.version})
        back = {"to": PRODUCTION, "digest": target.digest, "rollback": True, "reason": "people went back"}
        self._move(actor, usecase, target.version, back)
        return target.version

    def _judge(self, usecase: str, version: str) -> Good | Unfit:
        if failure(self._world.events, f"{usecase}/{version}") is not None:
            return Unfit(version, "failed in a rollout")
        moves = self._moves(usecase, version)
        approved = [one for one in decisions(moves) if one.digest]
        if not approved:
            return Unfit(version, "was never approved for its bytes")
        if any(move.body.get("rollback_to") and move.seq > approved[-1].seq for move in moves):
            return Unfit(version, "was rolled back from")
        if approved[-1].digest != self._world.digests[usecase, version]:
            return Unfit(version, "has other bytes now")
        return Good(version, str(approved[-1].digest))

    def _moves(self, usecase: str, version: str) -> list[Any]:
        subject = f"{usecase}/{version}"
        return [one for one in self._world.events if one.kind == EventKind.TRANSITION and one.subject == subject]

    def _facts(self, usecase: str, version: str) -> Facts:
        world, subject = self._world, f"{usecase}/{version}"
        return Facts(
            usecase,
            version,
            world.authors[usecase, version],
            digest=world.digests[usecase, version],
            reviews=tuple(read_reviews(world.events, subject)),
            failure=failure(world.events, subject),
            at=world.now,
        )

    def _move(self, actor: str, usecase: str, version: str, what: Mapping[str, Any]) -> None:
        self._world.stages[usecase, version] = str(what["to"])
        body = {"model": usecase, "version": version, **what}
        self._world.append(EventKind.TRANSITION, f"{usecase}/{version}", actor, body)

    def _allowed(self, verdict: Allowed | Refused) -> bool:
        self._world.count(f"gate {'allowed' if isinstance(verdict, Allowed) else 'refused'}")
        return isinstance(verdict, Allowed)
