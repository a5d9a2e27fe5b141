"""Taking a use case out of service, which only people ask for: the one event that lets its last version stop."""

from deploy.desired import approvals, newest
from deploy.loop.fold import histories
from deploy.loop.interfaces import Ledger, Stages
from deploy.loop.rollout import History
from flywheel.errors import UsageError
from flywheel.events import EventKind


def record_undeployment(ledger: Ledger, registry: Stages, usecase: str, reason: str) -> str:
    """Record that a use case goes out of service; return the version that was live.

    Raises:
        UsageError: Nothing of it is live, or a version is still in Production and would come back.
    """
    events = ledger.read()
    history = histories(events).get(usecase, History(usecase))
    live = history.champion or (history.current.new if history.current else None)
    if live is None and history.damage is None:
        raise UsageError(f"Nothing of '{usecase}' is live. `flywheel deploy --dry-run` lists what is.")
    standing = approvals(events).get(usecase, [])
    stages = registry.stages(usecase, [approval.served.version for approval in standing])
    wanted = newest(standing, stages, history.failed)
    if wanted is not None:
        raise UsageError(
            f"Version {wanted.version} of '{usecase}' is in Production, and the next `flywheel deploy` would bring it "
            "back. Have a reviewer archive it first."
        )
    # A record that cannot be read begins anew here, whatever was live by it.
    subject, version = (live.subject, live.version) if live is not None else (usecase, "unknown")
    ledger.record(EventKind.ROLLOUT_UNDEPLOYED, subject, {"version": version, "reason": reason})
    return version
