"""Post hooks: found by entry point, imported when they are needed, their faults told with their name."""

import sys
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from flywheel import events
from flywheel.errors import TransientError
from flywheel.events import GENESIS, Event, EventKind
from registry.hooks import consumers
from registry.hooks.consumers import PostHook, post_hooks
from registry.hooks.specification import POST, PRE, post, pre
from registry.policy.rules import Transition

EVENT = events.chained(GENESIS, EventKind.ALERT, "churn", "svc-gates", {}, datetime(2026, 1, 1, tzinfo=UTC))


def test_a_post_hook_gets_the_event(monkeypatch: pytest.MonkeyPatch) -> None:
    module, got = ModuleType("somebodys_hooks"), list[Event]()
    vars(module)["tell"] = got.append
    monkeypatch.setitem(sys.modules, "somebodys_hooks", module)
    found = {POST: [EntryPoint("chat", "somebodys_hooks:tell", POST)]}
    monkeypatch.setattr(consumers, "entry_points", lambda group: found[group])
    (hook,) = post_hooks()
    assert (hook.name, hook.describe()) == ("chat", {"kind": "post hook", "target": "somebodys_hooks:tell"})
    hook.try_out()
    assert got == []
    hook.deliver(EVENT)
    assert got == [EVENT]


def test_a_post_hook_that_cannot_be_imported_keeps_its_events(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = PostHook(EntryPoint("gone", "no_such_module:tell", POST))
    with pytest.raises(TransientError, match="no_such_module:tell raised ModuleNotFoundError"):
        hook.deliver(EVENT)
    with pytest.raises(TransientError, match="cannot be imported"):
        hook.try_out()


def test_the_specification_documents_both_hooks_and_does_nothing() -> None:
    assert pre(Transition("churn", "1", "ada", "None", "Production")) is None
    post(EVENT)
    for hook, group in ((pre, PRE), (post, POST)):
        assert group in str(sys.modules[hook.__module__].__doc__)
        assert "Args:" in str(hook.__doc__)
