"""What every stage and alias must be: a pure fold of the events that the gate wrote.

In flow events in the order of the chain, out flow the pointers that MLflow's tables must show. `pointer.reverted` is
no decision of anybody's and changes nothing here: it says that the tables follow the events again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flywheel.events import Event, EventKind

NEW = "None"  # the stage of a version that nobody moved
DELETED = "Deleted_Internal"  # MLflow keeps the row of a deleted version; that of a deleted model's goes
Key = tuple[str, str]  # a model, and the number of a version or the name of an alias


@dataclass(frozen=True)
class Expected:
    """What a version's row must say; a source or location of None was not recorded.

    Args:
        stage: MLflow's name of it.
        source: What it was registered from.
        location: Where its bytes are.
    """

    stage: str = NEW
    source: str | None = None
    location: str | None = None


@dataclass
class Pointers:
    """Stages of all versions and targets of all aliases that the events know, by model, and which changed of late.

    An alias that was removed stays, with None: where it comes back without an event, it is known to be nobody's.
    """

    versions: dict[str, dict[str, Expected]] = field(default_factory=dict)
    aliases: dict[str, dict[str, str | None]] = field(default_factory=dict)
    changed_versions: set[Key] = field(default_factory=set)
    changed_aliases: set[Key] = field(default_factory=set)

    def apply(self, event: Event) -> None:
        """Follow one event; those that move nothing are passed over.

        Raises:
            KeyError: It lacks what an event of its kind says.
        """
        body = event.body
        if event.kind == EventKind.VERSION_CREATED:
            self._put(body["model"], body["version"], _created(body))
        elif event.kind == EventKind.TRANSITION:
            self._move(body["model"], body["version"], body["to"])
        elif event.kind == EventKind.ALIAS_MOVED:
            self._point(body["model"], body["alias"], body["version"])
        elif event.kind == EventKind.MODEL_RENAMED and event.subject == body["from"]:  # the new name has one too
            self._rename(body["from"], body["to"])

    def take_changes(self) -> tuple[set[Key], set[Key]]:
        """Return the versions and the aliases that have changed since the last call, also those that are gone."""
        taken = self.changed_versions, self.changed_aliases
        self.changed_versions, self.changed_aliases = set(), set()
        return taken

    def version(self, key: Key) -> Expected | None:
        """Return what a version's row must say; None where the events know no such version."""
        return self.versions.get(key[0], {}).get(key[1])

    def has_alias(self, key: Key) -> bool:
        """Return whether the events know an alias, also one that was removed."""
        return key[1] in self.aliases.get(key[0], {})

    def alias(self, key: Key) -> str | None:
        """Return where an alias must point; None for nowhere."""
        return self.aliases.get(key[0], {}).get(key[1])

    def _put(self, model: str, version: str, expected: Expected) -> None:
        self.changed_versions.add((model, version))
        self.versions.setdefault(model, {})[version] = expected

    def _point(self, model: str, alias: str, version: str | None) -> None:
        self.changed_aliases.add((model, alias))
        self.aliases.setdefault(model, {})[alias] = version

    def _move(self, model: str, version: str, stage: str) -> None:
        before = self.version((model, version)) or Expected()
        if stage != DELETED:
            self._put(model, version, Expected(stage, before.source, before.location))
            return
        self._put(model, version, Expected(DELETED))  # MLflow blackens its source, and removes its aliases
        for alias in [name for name, target in self.aliases.get(model, {}).items() if target == version]:
            self._point(model, alias, None)

    def _rename(self, old: str, new: str) -> None:
        if old == new:
            return
        # What stood under the new name belonged to a model that was deleted, and so did everything of it.
        gone, gone_aliases = self.versions.pop(new, {}), self.aliases.pop(new, {})
        moved, moved_aliases = self.versions.pop(old, {}), self.aliases.pop(old, {})
        self.versions[new], self.aliases[new] = moved, moved_aliases
        self.changed_versions |= {(new, number) for number in {*gone, *moved}} | {(old, number) for number in moved}
        self.changed_aliases |= {(new, name) for name in {*gone_aliases, *moved_aliases}}
        self.changed_aliases |= {(old, name) for name in moved_aliases}


def _created(body: Mapping[str, Any]) -> Expected:
    source = body.get("source")
    # MLflow keeps what is registered where it is; only a `models:/` source has its bytes under another address.
    location = body.get("storage_location") or (None if str(source).startswith("models:") else source)
    return Expected(NEW, source, location)
