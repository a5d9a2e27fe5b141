"""What a client of MLflow's deployment target asks for, and whether it may have it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from deploy.deployment_request import Change, check_wanted, model_version, read_change
from deploy.desired import Approval, Served
from deploy.loop.plans import errors_only
from deploy.loop.rollout import History, Phase, Rollout
from flywheel.errors import UsageError
from flywheel.rollbacks import Cause

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def approval(version: str) -> Approval:
    return Approval(Served("flights", version, f"sha256:{version}"), "grace", NOW, int(version))


def test_a_config_is_read_as_mlflows_command_line_writes_it() -> None:
    assert read_change(None) == Change()
    assert read_change({"wait": "false", "timeout": "60"}) == Change(wait=False, timeout=60)
    assert read_change({"pause": True}) == Change(control="pause")
    assert read_change({"resume": "yes", "reason": " a reason "}) == Change(control="resume", reason="a reason")


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"percent": 50}, "config 'percent' is not known"),
        ({"wait": "perhaps"}, "config 'wait' is neither true nor false"),
        ({"timeout": "soon"}, "config 'timeout' is no number of seconds"),
        ({"pause": True, "resume": True}, "Ask for one of them"),
    ],
)
def test_what_a_config_cannot_say_is_refused(config: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        read_change(config)


@pytest.mark.parametrize("uri", ["models:/flights", "models:/other/1", "models:/flights/Production", "runs:/a/1", ""])
def test_a_model_is_named_by_its_version(uri: str) -> None:
    assert model_version("flights", "models:/flights/3") == "3"
    with pytest.raises(UsageError, match=r"Write models:/flights/VERSION"):
        model_version("flights", uri)


def test_only_the_newest_approved_version_that_has_not_failed_may_be_asked_for() -> None:
    approved, none = [approval("2"), approval("3")], History("flights")
    both = {"2": "Production", "3": "Production"}
    check_wanted("3", approved, both, none)
    for version, stages, sentence in (
        ("4", {**both, "4": "Staging"}, "is not approved. Have a reviewer move it to Production"),
        ("99", both, "There is no version 99 of 'flights' in the registry."),
        ("3", {"3": "Archived"}, "`flywheel approve flights 3 --user REVIEWER`"),
        ("2", both, "but so is version 3, and the newest is served"),
    ):
        with pytest.raises(UsageError, match=sentence):
            check_wanted(version, approved, stages, none)


def test_a_version_that_was_rolled_back_may_not_be_asked_for_again() -> None:
    plan, when = errors_only((50,), 0.01), (NOW, NOW, NOW)
    failed = Rollout("r", approval("3").served, None, plan, Phase.ROLLED_BACK, *when, cause=Cause.START)
    with pytest.raises(UsageError, match="was rolled back, and its bytes are not tried again"):
        check_wanted("3", [approval("3")], {"3": "Production"}, History("flights", (failed,)))
