"""Pre hooks: their vetoes reach the person who asked, and a hook that does not work refuses."""

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from registry.hooks import pre
from registry.hooks.specification import PRE
from registry.policy.rules import Transition

ASKED = Transition("churn", "3", "ada", "Staging", "Production")


def fail(_: Transition) -> None:
    raise KeyError("nothing")


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    module = ModuleType("somebodys_hooks")
    monkeypatch.setitem(sys.modules, "somebodys_hooks", module)

    def install(**callables: Callable[[Transition], object]) -> None:
        vars(module).update(callables)
        points = [EntryPoint(name, f"somebodys_hooks:{name}", PRE) for name in callables]
        monkeypatch.setattr(pre, "entry_points", lambda group: points if group == PRE else [])
        pre._hooks.cache_clear()

    yield install
    pre._hooks.cache_clear()


def test_without_hooks_everything_passes() -> None:
    assert pre.vetoes(ASKED) is None


def test_a_veto_names_its_hook_and_its_reason(hooks: Callable[..., None]) -> None:
    hooks(calm=lambda _: None, calendar=lambda asked: f"no change of {asked.model} today.")
    assert pre.vetoes(ASKED) == "Transition to Production refused by hook 'calendar': no change of churn today."


def test_a_hook_that_raises_refuses(hooks: Callable[..., None]) -> None:
    hooks(broken=fail)
    assert pre.vetoes(ASKED) == (
        "Transition to Production refused by hook 'broken': it failed (KeyError: 'nothing'). "
        "Have an operator look at the hook."
    )


def test_a_hook_that_ends_the_interpreter_refuses(hooks: Callable[..., None]) -> None:
    hooks(ending=lambda _: sys.exit(0))
    assert "SystemExit" in str(pre.vetoes(ASKED))


def test_a_hook_that_takes_too_long_refuses(hooks: Callable[..., None]) -> None:
    over = threading.Event()
    hooks(slow=lambda _: over.wait(30) and None)
    assert "'slow': it has not answered within 0.1 s" in str(pre.vetoes(ASKED, seconds=0.1))
    over.set()


@pytest.mark.parametrize("answer", [True, False, "", "  ", 0, ["no"]])
def test_a_hook_that_answers_neither_text_nor_none_refuses(hooks: Callable[..., None], answer: object) -> None:
    hooks(odd=lambda _: answer)
    assert "neither a reason nor None" in str(pre.vetoes(ASKED))


def test_a_hook_that_cannot_be_imported_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pre, "entry_points", lambda group: [EntryPoint("gone", "no_such_module:veto", group)])
    pre._hooks.cache_clear()
    assert "'gone': it failed (ModuleNotFoundError" in str(pre.vetoes(ASKED))
    pre._hooks.cache_clear()


def test_nothing_holds_up_a_version_that_leaves_production(hooks: Callable[..., None]) -> None:
    hooks(broken=fail)
    assert pre.vetoes(replace(ASKED, source="Production", target="Archived")) is None
