"""Whether what a look has found may be told again, and until when the same log says no more; pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from flywheel.package import ModelPackage
from flywheel.profiling.series import DAY
from flywheel.usecase import UseCase
from monitoring.look.kept import EPOCH, next_moment
from monitoring.look.looked import Looked
from monitoring.retraining.evidence import End
from monitoring.windows.grid import ORIGIN
from monitoring.windows.window import History


def may_be_kept(looked: Looked) -> bool:
    """Say whether a look was whole, and leaves nothing that the next must renew.

    What failed is tried again, a training that runs may end at any time, and a shift fades unless looks renew it.
    """
    attempts = looked.decision.evidence.attempts if looked.decision is not None else ()
    runs = any(attempt.end is End.RUNNING for attempt in attempts)
    return not (looked.failures or looked.update.quarantined or looked.recalibrated or runs)


def holds_until(
    looked: Looked, history: History, use_case: UseCase, packages: Iterable[ModelPackage]
) -> datetime | None:
    """Return from when on another look may find something else in the same log (naive UTC); None: never.

    Args:
        looked: What was found.
        history: The rows it was found in.
        use_case: Its window and the delay of its labels.
        packages: Of the versions that answered: drift goes by the blocks of each, losses by days.
    """
    newest, delay = history.attempted.max(), use_case.data.label.available_after
    moments = [history.next_known, looked.decision.next_at if looked.decision is not None else None]
    if isinstance(newest, datetime):
        blocks = {package.usecase.monitor.drift.block for package in packages} | {DAY}
        grids = [(every, EPOCH, wait) for every in blocks for wait in (timedelta(0), delay)]
        grids.append((use_case.monitor.window, ORIGIN, timedelta(0)))
        moments.append(next_moment(history.as_of, newest, grids))
    return min((one for one in moments if one is not None and one > history.as_of), default=None)
