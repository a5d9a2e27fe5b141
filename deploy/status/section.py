"""The section `Serving` of `flywheel status`: found by the kernel through the entry point group `flywheel.status`."""

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from deploy.gateway.remembered import read_splits
from deploy.gateway.traffic import Split
from deploy.local.places import Places
from deploy.loop.standing import Standing
from deploy.status.arms import Arm, arms_of
from deploy.status.controller import controller_state
from deploy.status.reading import read
from deploy.status.recent import minute_ago
from deploy.status.spooled import quarantined_lines, spooled
from deploy.status.view import controller_line, rollout_lines, shift_lines, shown
from flywheel.errors import SpecError
from flywheel.serving import Serving, load_serving
from flywheel.settings import Settings
from flywheel.stack.sections import Section

NOTHING = "Nothing is served. Train a version, have it approved, and run `flywheel deploy`."


def serving(settings: Settings, clock: Callable[[], float] = time.time) -> Section:
    """Look at all that is served.

    Args:
        settings: Whose home.
        clock: Gives seconds since 1970.

    Raises:
        FlywheelError: HOME/run/serving.json is damaged.
    """
    places = sorted(
        Places(settings.root / "run" / "serving.json").read().values(),
        key=lambda place: (place.served.usecase, int(place.served.version)),
    )
    splits = read_splits(settings.root / "envoy" / "dynamic" / "rds.json")
    now, (said, wrong) = read(settings, places, clock), _said(settings)
    earlier, controller = minute_ago(settings, now.at), controller_state(settings.root, now.at)
    arms = [
        arm
        for place in places
        for arm in arms_of(
            place,
            splits.get(place.served.usecase),
            now,
            earlier,
            spooled=spooled(settings.root, place.served.usecase, place.served.version),
            mirrored=said.of(place.served.usecase).mirror_percent,
        )
    ]
    faults = (*wrong, *now.faults, *_unserved(splits, arms), *_requests_set_aside(settings))
    standing = Standing(settings.root).read()
    return Section(
        "Serving",
        faults,
        lambda width: "\n".join(
            [
                shown(arms, width) if arms else NOTHING,
                *shift_lines(arms),
                *rollout_lines(standing),
                controller_line(controller),
            ]
        ),
        {
            "controller": {"at_work": controller.at_work, **asdict(controller)},
            "rollouts": [asdict(one) for one in standing],
            "arms": [_document(arm) for arm in arms],
        },
    )


def _said(settings: Settings) -> tuple[Serving, tuple[str, ...]]:
    try:
        return load_serving(settings.root), ()
    except SpecError as fault:
        return Serving(), (str(fault),)


def _unserved(splits: dict[str, Split], arms: list[Arm]) -> list[str]:
    """Name use cases that have no agent which is ready, though requests are routed to them."""
    ready = {arm.use_case for arm in arms if arm.replicas_ready and arm.arm != "unrouted"}
    return [f"No agent of {name} is ready: its requests fail." for name in sorted(splits) if name not in ready]


def _requests_set_aside(settings: Settings) -> list[str]:
    folder = settings.root / "logs"
    count = quarantined_lines(folder)
    return (
        [f"Lines of the gateway's access log that were no requests: {count}. See {folder}/*.rejected."] if count else []
    )


def _document(arm: Arm) -> dict[str, Any]:
    fields = asdict(arm)
    figures, held = fields.pop("figures"), fields.pop("spooled")
    return {**fields, **figures, **held}
