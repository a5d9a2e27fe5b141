"""What a hook is: a callable in somebody's package, found by entry point. These functions document it and do nothing.

    [project.entry-points."flywheel.registry.pre"]
    change-calendar = "our_registry.calendar:veto"

    [project.entry-points."flywheel.registry.post"]
    chat = "our_registry.chat:tell"

The name on the left is the hook's name in refusals, logs and `flywheel hooks`. Packages with hooks are installed where
the MLflow server runs (pre) and where the registry's process runs (post); both read entry points when they start.
"""

from flywheel.events import Event
from registry.policy.rules import Transition

PRE = "flywheel.registry.pre"
POST = "flywheel.registry.post"


def pre(transition: Transition) -> str | None:
    """Veto a transition, or let it pass; called in the MLflow server before a version moves.

    It is asked after the policy has allowed the move and before anything is locked or written, in a thread of its own
    without a request's context. It must answer within 5 seconds: one that takes longer, raises, cannot be imported or
    returns anything but text refuses the transition. It may be asked again for the same move, so it must not change
    anything. It is not asked when a version leaves Production, since nothing may hold up a rollback.

    Args:
        transition: Who moves where: the model, the version's number, its author, the stage it is in and the stage it
            shall go to (MLflow's names: None, Staging, Production, Archived), and whether versions there are archived.

    Returns:
        Why the transition is refused, as a sentence that the person who asked reads in MLflow; None lets it pass.
    """


def post(event: Event) -> None:
    """Take note of an event; called in the registry's process after the event's transaction was committed.

    Every event is handed over at least once, in the order of the chain: after a crash the last one may come again, with
    the same `seq` and `hash`. While a hook raises it gets the same event again, ever later (up to 5 minutes apart), and
    no later one; other hooks go on. A hook that was never seen before begins with the events to come.

    Args:
        event: What happened: `seq` (its place in the chain), `kind` (as `transition` or `rollout.promoted`), `subject`
            (`<model>/<version>`, `<model>` or `<use case>`), `actor`, `at` (UTC), `body` (plain JSON), `hash`.
    """
