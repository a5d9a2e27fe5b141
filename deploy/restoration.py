"""After a start of the stack, what was live is live again: found by `flywheel up` as an entry point `flywheel.up`.

Only what the events say is brought back, a canary's share included. Nothing new starts. The controller that stays runs
again too, which goes on with what was under way.
"""

import time

from deploy.local.places import Places
from deploy.local.staying import start_controller
from deploy.loop.leading import Say, leading_controller
from deploy.loop.reconcile import Pace, run_until_settled
from flywheel.settings import Settings

SECONDS = 600.0


def after_up(settings: Settings, say: Say) -> None:
    """Bring back what was live when the stack ended.

    Args:
        settings: Whose home.
        say: Is given a line of progress.

    Raises:
        FlywheelError: It is not there in time, or cannot be.
    """
    if not Places(settings.root / "run" / "serving.json").read():
        return
    say("Bringing back what was live")
    start_controller(settings)
    with leading_controller(settings, SECONDS, say, restores=True) as controller:
        result = run_until_settled(controller, Pace(time.monotonic, time.sleep), SECONDS, lambda _: None)
    for one in result.progress:
        say(f"{one.usecase} version {one.champion}: {one.reason}")
