"""What a demo measured, drawn from its answers, the prediction log and the events."""

from collections.abc import Mapping
from typing import Any

from flywheel.demo.story import Story
from flywheel.events import Event, EventKind
from flywheel.goals import Goal, goal


def figures(story: Story) -> list[Goal]:
    """Collect what the demo measured, each against its target."""
    account = story.account()
    events = story.events()
    name = story.use_case.name
    verdicts = [result["verdict"] for result in story.windows]
    retrained = sum(1 for result in story.windows if result.get("retrained_version"))
    figures = [
        goal("requests", len(story.answers), ">=", min(30_000, story.plan.requests)),
        goal("failed_requests", sum(1 for answer in story.answers if answer.status != 200), "==", 0),
        goal("records_missing", account.missing, "==", 0),
        goal("records_doubled", account.doubled, "==", 0),
        goal("refused_without_approval", _count(events, EventKind.TRANSITION_REFUSED, name), ">=", 2),
        goal("quiet_windows", verdicts.count("quiet"), ">=", 1),
        goal("retrained_versions", retrained, ">=", 1),
        goal("rolled_back_versions", _versions(events, EventKind.ROLLOUT_ROLLED_BACK, name), "==", 1),
        goal("stayed_rolled_back", int(story.stayed_back), "==", 1),
        goal("second_use_case_answers", story.rain_answers, ">=", 1),
        goal("auc_gain_over_never", round(story.gain(), 4), ">", 0),
    ]
    return [goal("seconds", round(story.narrator.seconds, 1), "<=", 600), *figures]


def window_row(result: Mapping[str, Any]) -> dict[str, Any]:
    """Pick what the table shows of a checked window."""
    keys = ("window", "verdict", "rows", "loss", "low", "high", "reference", "retrained_version", "report_url")
    return {key: result.get(key) for key in keys}


def _versions(events: list[Event], kind: EventKind, name: str) -> int:
    """Count the versions that have an event of a kind: a step has one for its intent and one for its end."""
    return len({event.subject for event in events if event.kind == kind and event.subject.startswith(f"{name}/")})


def _count(events: list[Event], kind: EventKind, name: str) -> int:
    return sum(1 for event in events if event.kind == kind and event.subject.startswith(f"{name}/"))
