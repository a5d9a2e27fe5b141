"""What must be true after every tick of every controller, whatever happened; each broken promise is a sentence."""

import json
from pathlib import Path
from typing import Any

from deploy.desired import PRODUCTION, Served
from deploy.loop.rollout import COMPARED, LIVE, Phase, intended
from deploy.shares import CHALLENGER, SHADOW, Share
from deploy.verdict_file import judge_file
from flywheel.events import Event, EventKind
from flywheel.identities import CONTROLLER
from flywheel.rollbacks import FAILURES, Cause
from tests.simulation.parts import versions
from tests.simulation.plane import Plane
from tests.simulation.world import World


class BrokenPromiseError(AssertionError):
    """A promise was broken; the message says which."""


def expect(holds: bool, sentence: str) -> None:  # reads as a sentence
    """Raise unless a promise holds."""
    if not holds:
        raise BrokenPromiseError(sentence)


class Invariants:
    """Watches one history. Not for several threads.

    Args:
        world: Its world.
        plane: Its data plane.
        folder: For records that are replayed.
    """

    def __init__(self, world: World, plane: Plane, folder: Path) -> None:
        self._world, self._plane, self._folder = world, plane, folder
        self._approved: set[Served] = set()
        self._read = 0
        self._asked_for: dict[str, list[Share]] = {}
        self._served: set[str] = set()

    def after_tick(self, before: int, file_before: dict[str, Share], kept: set[Served] | None, *, stale: bool) -> None:
        """Check all of it.

        Args:
            before: Events there were when the tick began.
            file_before: What was routed then.
            kept: What the tick asked the target to keep; None when it did not get that far.
            stale: Whether somebody else led meanwhile: then traffic may follow any intent that was on record.
        """
        self._take_in()
        self._one_step(before, stale=stale)
        self._traffic_follows_the_record(before, file_before, stale=stale)
        self._nothing_unapproved_is_routed()
        self._failures_stay_failed()
        self._somebody_serves()
        if kept is not None and not stale:
            self._champions_are_kept(before, kept)
        for event in self._world.events[before:]:
            if event.actor == CONTROLLER and event.body.get("state") == "done" and not stale:
                self._came_true(event)
            if event.kind == EventKind.ROLLOUT_ROLLED_BACK and event.body["state"] == "intent":
                self._is_no_slander(event)
                if not stale:
                    self._takes_away_no_only_copy(event)
                self._replays(event)

    def settled(self) -> None:
        """Check what must agree once everything is left alone."""
        self._take_in()
        for usecase, history in self._world.histories().items():
            current, champion = history.current, history.champion
            aliases = {alias: one for (name, alias), one in self._world.aliases.items() if name == usecase}
            wanted = {"champion": champion.version} if champion else {}
            if current is not None and current.phase in COMPARED:
                wanted["challenger"] = current.new.version
            expect(aliases == wanted, f"aliases of {usecase} are {aliases}, and the events say {wanted}")
            # Where they ask for nothing, as when a first version was taken back while it took over, the last that
            # answers stays: only taking the use case out of service ends it.
            stays = champion is None and current is None and not history.is_gone
            routed = self._plane.file.get(usecase) == intended(history)
            expect(routed or stays, f"{usecase} is not routed as the events ask for")
            self._stages_agree(usecase)

    def _take_in(self) -> None:
        """Learn from events that were not seen yet."""
        events = self._world.events
        for number in range(self._read, len(events)):
            event = events[number]
            if event.kind == EventKind.TRANSITION and event.body["to"] == PRODUCTION:
                usecase, version = event.subject.split("/")
                self._approved.add(Served(usecase, version, event.body["digest"]))
            if event.kind.startswith("rollout."):
                usecase = event.subject.split("/")[0]
                share = intended(self._world.histories(number + 1)[usecase])
                if share is not None:
                    self._asked_for.setdefault(usecase, []).append(share)
        self._read = len(events)

    def _one_step(self, before: int, *, stale: bool) -> None:
        mine = [
            one for one in self._world.events[before:] if one.actor == CONTROLLER and one.kind.startswith("rollout.")
        ]
        for usecase in {one.subject.split("/")[0] for one in mine}:
            steps = [one for one in mine if one.subject.split("/")[0] == usecase]
            expect(stale or len(steps) <= 1, f"one tick recorded {len(steps)} events of {usecase}")

    def _traffic_follows_the_record(self, before: int, was: dict[str, Share], *, stale: bool) -> None:
        for usecase, share in self._plane.file.items():
            expect(0 <= share.percent <= 99, f"{usecase} gives {share.percent} % to challengers")
            expect(share.percent + share.percent_of_champion == 100, f"the weights of {usecase} do not sum to 100")
            if share == was.get(usecase):
                continue
            history = self._world.histories(before).get(usecase)
            allowed = self._asked_for.get(usecase, []) if stale else [intended(history) if history else None]
            expect(share in allowed, f"traffic of {usecase} moved to {share}, and no intent on record asks for that")

    def _nothing_unapproved_is_routed(self) -> None:
        for share in (*self._plane.file.values(), *self._plane.in_force.values()):
            for served in versions(share):
                expect(served in self._approved, f"{served} is routed, and nobody approved these bytes")

    def _failures_stay_failed(self) -> None:
        for history in self._world.histories().values():
            failed: set[str] = set()
            for rollout in history.rollouts:
                expect(rollout.new.digest not in failed, f"{rollout.name} starts a digest that failed before")
                if rollout.cause in FAILURES:
                    failed.add(rollout.new.digest)

    def _somebody_serves(self) -> None:
        for usecase, history in self._world.histories().items():
            if usecase in self._plane.file:
                self._served.add(usecase)
            if history.is_gone or history.undeployed:
                self._served.discard(usecase)
            if usecase in self._served:
                expect(usecase in self._plane.file, f"nobody serves {usecase} any more")
                champion = self._plane.file[usecase].champion
                expect(champion in self._plane.programs, f"the last copy of {champion.subject} was stopped")

    def _champions_are_kept(self, before: int, kept: set[Served]) -> None:
        for history in self._world.histories(before).values():
            champion = history.champion
            expect(champion is None or champion in kept, f"a tick did not keep the champion {champion}")

    def _came_true(self, event: Event) -> None:
        """What is said to be done is what Envoy does."""
        usecase = event.subject.split("/")[0]
        asked = intended(self._world.histories(event.seq - 1)[usecase])
        there = self._plane.in_force.get(usecase)
        expect(asked in {None, there}, f"{event.kind} of {event.subject} is said to be done, and Envoy does {there}")

    def _is_no_slander(self, event: Event) -> None:
        """A version that answered all the time has not failed to start, and was not silent."""
        usecase, version = event.subject.split("/")
        rollout = next(one for one in self._world.history(usecase).rollouts if one.name == event.body["rollout"])
        nature = self._world.nature(rollout.new)
        altered = self._world.digests[usecase, version] != rollout.new.digest
        sound = not nature.crashes and rollout.new.digest not in self._plane.silent and not altered
        if event.body["cause"] in {Cause.HEALTH, Cause.START}:
            expect(not sound, f"{event.subject} answered all the time, and failed by {event.body['cause']}")
        if event.body["cause"] == Cause.VERDICT:
            old = self._world.nature(rollout.old) if rollout.old is not None else nature
            worse = nature.errors > old.errors or nature.slow > old.slow
            self._world.count(f"verdict on {'a worse' if worse else 'an equal'} one")

    def _takes_away_no_only_copy(self, event: Event) -> None:
        """Halt rather than roll back while the new version is the only one that answers."""
        history = self._world.histories(event.seq - 1)[event.subject.split("/")[0]]
        rollout = next(one for one in history.rollouts if one.name == event.body["rollout"])
        if rollout.old is None or rollout.percent == 0 or rollout.phase not in {*COMPARED, Phase.BAKING}:
            return
        if event.body["cause"] == Cause.WITHDRAWN and rollout.phase is Phase.BAKING:
            return  # people asked for it
        alone = self._plane.healthy(rollout.new) and not self._plane.healthy(rollout.old)
        expect(not alone, f"{rollout.name} was rolled back while no other version answered")

    def _replays(self, event: Event) -> None:
        """What ended a rollout is a file that `flywheel verdict` judges to the same verdict."""
        usecase = event.subject.split("/")[0]
        name = str(event.body["rollout"])
        if event.body["cause"] != Cause.VERDICT or not event.body["verdict"]:
            return
        rollout = next(one for one in self._world.history(usecase).rollouts if one.name == name)
        looks, step = self.looks(name, event.seq)
        kind = "shadow" if rollout.plan.steps[step] == 0 else "traffic"
        own = [one for at in sorted(looks) if (rollout.plan.steps[at] == 0) == (kind == "shadow") for one in looks[at]]
        self._counts_no_request_twice(name, kind, own)
        if name in self._world.lost_journals:
            return
        plan = rollout.plan.to_json()["verdicts"][kind]
        file = self._folder / "record.json"
        file.write_text(json.dumps({"plan": plan, "looks": own}))
        _, found = judge_file(file)
        expect(found["verdict"] == event.body["verdict"], f"the record of {name} replays to another verdict")
        self._world.count("verdict replayed")

    def looks(self, name: str, until: int) -> tuple[dict[int, list[Any]], int]:
        """Return the looks of a rollout by step, as its events up to a number carry them, and its last step."""
        found: dict[int, list[Any]] = {}
        step = -1
        for event in self._world.events[:until]:
            if event.body.get("rollout") != name or event.actor != CONTROLLER:
                continue
            if event.body.get("looks"):
                found[step] = event.body["looks"]
            step = int(event.body.get("step", step))
        return found, step

    def _counts_no_request_twice(self, name: str, kind: str, looks: list[Any]) -> None:
        arm = SHADOW if kind == "shadow" else CHALLENGER
        judged = sum(look["metrics"]["errors"]["canary"]["requests"] for look in looks if "errors" in look["metrics"])
        there = self._plane.truth.get((name, arm), 0)
        expect(judged <= there, f"{name} was judged by {judged} requests, and there were {there}")

    def _stages_agree(self, usecase: str) -> None:
        history = self._world.history(usecase)
        self._what_was_brought_back_stays(usecase, history.failed)
        last = {rollout.new: rollout for rollout in history.rollouts}  # people may have gone back to it since
        for rollout in last.values():
            stage = self._world.stages[usecase, rollout.new.version]
            moved = self._last_move(rollout.new)
            if rollout.phase is Phase.ROLLED_BACK and moved is not None and moved.seq < self._ended(rollout.name):
                expect(stage != PRODUCTION, f"{rollout.new.subject} was rolled back and is in Production")
        reign = history.reign
        if reign is None or reign.phase is not Phase.DONE or reign.old is None or reign.old == reign.new:
            return
        moved = self._last_move(reign.old)
        if reign.phase in LIVE and moved is not None and moved.seq < reign.seq:
            stage = self._world.stages[usecase, reign.old.version]
            expect(stage != PRODUCTION, f"{reign.old.subject} was replaced and is in Production still")

    def _what_was_brought_back_stays(self, usecase: str, failed: set[str]) -> None:
        """Where people's last word was to go back, that version is in Production, unless it failed meanwhile."""
        moves = [one for one in self._world.events if one.kind == EventKind.TRANSITION and one.actor != CONTROLLER]
        mine = [one for one in moves if one.subject.split("/")[0] == usecase]
        last = mine[-1] if mine else None
        if last is None or not last.body.get("rollback") or last.body["digest"] in failed:
            return
        stage = self._world.stages[usecase, last.body["version"]]
        expect(stage == PRODUCTION, f"people went back to {last.subject}, and it is in {stage}")

    def _last_move(self, served: Served) -> Event | None:
        moves = [
            one for one in self._world.events if one.kind == EventKind.TRANSITION and one.subject == served.subject
        ]
        people = [one for one in moves if one.actor != CONTROLLER]
        return people[-1] if people else None

    def _ended(self, name: str) -> int:
        return max(one.seq for one in self._world.events if one.body.get("rollout") == name)
