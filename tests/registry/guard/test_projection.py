"""The fold of pointers: whatever the registry went through, it says what MLflow's tables say."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from flywheel import events
from flywheel.events import GENESIS, Event, EventKind, Head
from registry.guard.projection import DELETED, Expected, Pointers

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NAMES = st.sampled_from(["a", "b", "c"])
ALIASES = st.sampled_from(["champion", "Champion", "x"])
STAGES = st.sampled_from(["None", "Staging", "Production", "Archived"])


class Row:
    """A version as MLflow's table holds it."""

    def __init__(self, source: str) -> None:
        self.stage, self.source = "None", source


class Registry(RuleBasedStateMachine):
    """MLflow's tables in the plainest form, changed as the gate changes them, each time with its events."""

    def __init__(self) -> None:
        super().__init__()
        self.models: dict[str, dict[str, Row]] = {}
        self.aliases: dict[str, dict[str, str]] = {}
        self.pointers = Pointers()
        self.copied = Pointers()  # as the watch's tables hold them: written by the changes alone
        self.head: Head = GENESIS

    def say(self, kind: EventKind, subject: str, **body: Any) -> None:
        event: Event = events.chained(self.head, kind, subject, "ada", body, NOON)
        self.head = Head(event.seq, event.hash)
        self.pointers.apply(event)

    def alive(self, name: str) -> list[str]:
        return [number for number, row in self.models.get(name, {}).items() if row.stage != DELETED]

    @rule(name=NAMES)
    def create_model(self, name: str) -> None:
        self.models.setdefault(name, {})
        self.aliases.setdefault(name, {})

    @rule(name=NAMES, source=st.sampled_from(["mlflow-artifacts:/1", "models:/a/1"]))
    def create_version(self, name: str, source: str) -> None:
        if name in self.models:
            number = str(len(self.models[name]) + 1)
            self.models[name][number] = Row(source)
            self.say(EventKind.VERSION_CREATED, f"{name}/{number}", model=name, version=number, source=source)

    @rule(name=NAMES, stage=STAGES, archive=st.booleans(), data=st.data())
    def transition(self, name: str, stage: str, archive: bool, data: st.DataObject) -> None:
        if not (there := self.alive(name)):
            return
        number = data.draw(st.sampled_from(there))
        for other in there:
            if archive and other != number and self.models[name][other].stage == stage:
                self.models[name][other].stage = "Archived"
                self.say(EventKind.TRANSITION, f"{name}/{other}", model=name, version=other, to="Archived")
        self.models[name][number].stage = stage
        self.say(EventKind.TRANSITION, f"{name}/{number}", model=name, version=number, to=stage)

    @rule(name=NAMES, alias=ALIASES, data=st.data())
    def point(self, name: str, alias: str, data: st.DataObject) -> None:
        if there := self.alive(name):
            number = data.draw(st.sampled_from(there))
            self.aliases[name][alias] = number
            self.say(EventKind.ALIAS_MOVED, f"{name}/{number}", model=name, alias=alias, version=number)

    @rule(name=NAMES, alias=ALIASES)
    def unpoint(self, name: str, alias: str) -> None:
        if self.aliases.get(name, {}).pop(alias, None):
            self.say(EventKind.ALIAS_MOVED, name, model=name, alias=alias, version=None)

    @rule(name=NAMES, data=st.data())
    def delete_version(self, name: str, data: st.DataObject) -> None:
        if there := self.alive(name):
            self._delete(name, data.draw(st.sampled_from(there)))

    def _delete(self, name: str, number: str) -> None:
        self.models[name][number].stage = DELETED
        self.aliases[name] = {alias: target for alias, target in self.aliases[name].items() if target != number}
        self.say(EventKind.TRANSITION, f"{name}/{number}", model=name, version=number, to=DELETED)

    @rule(name=NAMES)
    def delete_model(self, name: str) -> None:
        if name in self.models:
            for number in self.alive(name):
                self._delete(name, number)
            del self.models[name], self.aliases[name]

    @rule(old=NAMES, new=NAMES)
    def rename(self, old: str, new: str) -> None:
        if old in self.models and (new == old or new not in self.models):
            self.models[new], self.aliases[new] = self.models.pop(old), self.aliases.pop(old)
            for subject in (old, new):
                self.say(EventKind.MODEL_RENAMED, subject, **{"from": old, "to": new})

    @precondition(lambda self: self.pointers.versions)
    @rule(data=st.data(), stage=STAGES)
    def put_back(self, data: st.DataObject, stage: str) -> None:
        """The watch says that a pointer is again where it was: nothing may follow from it."""
        name = data.draw(st.sampled_from(sorted(self.pointers.versions)))
        body = {"pointer": "stage", "model": name, "version": "1", "from": "Staging", "to": stage}
        self.say(EventKind.POINTER_REVERTED, f"{name}/1", **body)

    @invariant()
    def tables_are_as_expected(self) -> None:
        rows = {(name, number): row for name, found in self.models.items() for number, row in found.items()}
        told = {(name, number): one for name, found in self.pointers.versions.items() for number, one in found.items()}
        assert {key: row.stage for key, row in rows.items()} == {key: told[key].stage for key in rows}
        assert {one.stage for key, one in told.items() if key not in rows} <= {DELETED}
        for key, row in rows.items():
            assert told[key].source == (None if row.stage == DELETED else row.source)
            assert told[key].location in {None, row.source}
        held = {(name, alias): to for name, found in self.aliases.items() for alias, to in found.items()}
        assert held == {
            (name, alias): to for name, found in self.pointers.aliases.items() for alias, to in found.items() if to
        }

    @invariant()
    def the_changes_alone_lead_to_the_same_tables(self) -> None:
        versions, aliases = self.pointers.take_changes()
        for name, number in versions:
            expected = self.pointers.version((name, number))
            if expected is None:
                self.copied.versions.get(name, {}).pop(number, None)
            else:
                self.copied.versions.setdefault(name, {})[number] = expected
        for name, alias in aliases:
            if self.pointers.has_alias((name, alias)):
                self.copied.aliases.setdefault(name, {})[alias] = self.pointers.alias((name, alias))
            else:
                self.copied.aliases.get(name, {}).pop(alias, None)
        assert _without_empty(self.copied.versions) == _without_empty(self.pointers.versions)
        assert _without_empty(self.copied.aliases) == _without_empty(self.pointers.aliases)


def _without_empty(found: dict[str, Any]) -> dict[str, Any]:
    return {name: rest for name, rest in found.items() if rest}


TestRegistry = Registry.TestCase
TestRegistry.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


def test_a_version_from_before_the_gate_is_known_by_its_first_transition() -> None:
    pointers = Pointers()
    body = {"model": "old", "version": "7", "to": "Staging"}
    pointers.apply(events.chained(GENESIS, EventKind.TRANSITION, "old/7", "ada", body, NOON))
    assert pointers.version(("old", "7")) == Expected("Staging")
    assert pointers.version(("old", "6")) is None
