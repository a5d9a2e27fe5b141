"""How each use case stood at the last tick, in HOME/run/standing.json: for `flywheel status`, whatever is down."""

import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from deploy.loop.progress import Progress
from deploy.loop.rollout import Phase

NAME = "standing.json"


class Standing:
    """The file of one home. One controller writes at a time; a tick of one use case leaves the others as they were."""

    def __init__(self, home: Path) -> None:
        self._path = home / "run" / NAME

    def keep(self, progress: Iterable[Progress]) -> None:
        """Keep what a tick found; a disk that takes nothing keeps nothing, which harms no rollout."""
        found = {**self._documents(), **{one.usecase: asdict(one) for one in progress}}
        text = json.dumps(found)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._path.with_suffix(".new")
            temporary.write_text(text)
            temporary.replace(self._path)
        except OSError:
            return

    def read(self) -> list[Progress]:
        """Return how things stood, by use case; what is damaged is left out."""
        known = {one.name for one in fields(Progress)}
        found = []
        for _, document in sorted(self._documents().items()):
            values = {name: value for name, value in document.items() if name in known}
            try:
                phase = Phase(values["phase"]) if values["phase"] else None
                several = {name: tuple(values.get(name, ())) for name in ("steps", "others")}
                found.append(Progress(**{**values, "phase": phase, **several}))
            except (KeyError, TypeError, ValueError):
                continue
        return found

    def _documents(self) -> dict[str, dict[str, Any]]:
        try:
            found = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
