"""What packages add to `flywheel status`: found by entry point, and never in the way of the stack's own parts."""

import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from flywheel.errors import StackError
from flywheel.settings import Settings
from flywheel.stack import sections as module
from flywheel.stack.sections import GROUP, Section, sections

ROOT = Path(__file__).parents[2]
HERE = __name__


def fine(settings: Settings) -> Section:
    return Section("Fine", text=lambda width: f"{settings.root.name} in {width} columns", values={"count": 3})


def down(settings: Settings) -> Section:
    raise StackError("It is down. Start it.")


def broken(settings: Settings) -> Section:
    raise KeyError("a bug")


def found(monkeypatch: pytest.MonkeyPatch, **targets: str) -> None:
    points = [EntryPoint(name, target, GROUP) for name, target in targets.items()]
    monkeypatch.setattr(module, "entry_points", lambda group: points if group == GROUP else [])


def test_a_section_is_shown_and_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found(monkeypatch, fine=f"{HERE}:fine")
    monkeypatch.setattr(EntryPoint, "load", lambda _self: fine)
    (section,) = sections(Settings(home=tmp_path))
    assert section.shown(80) == f"Fine\n{tmp_path.name} in 80 columns"
    assert section.document() == {"part": "Fine", "healthy": True, "reason": "", "count": 3}


def test_a_package_that_fails_is_named_and_the_others_are_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loaded = {"a_broken": broken, "b_down": down, "d_fine": fine}
    found(monkeypatch, **dict.fromkeys([*loaded, "c_gone"], "gone_for_good:section"))
    load = EntryPoint.load
    monkeypatch.setattr(EntryPoint, "load", lambda self: loaded[self.name] if self.name in loaded else load(self))
    shown = [one.shown(80) for one in sections(Settings(home=tmp_path))]
    assert shown[0] == "a_broken\n! It cannot be told: KeyError: 'a bug'."
    assert shown[1] == "b_down\n! It is down. Start it."
    assert shown[2] == "c_gone\n! No module named 'gone_for_good'."
    assert shown[3].startswith("Fine\n")


def test_the_projects_own_sections_can_be_loaded() -> None:
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][GROUP]
    assert named == {
        "monitoring": "monitoring.schedule.section:monitoring",
        "serving": "deploy.status.section:serving",
    }
    for name, target in named.items():
        assert callable(EntryPoint(name, target, GROUP).load())
