"""The first live blocks of a version that is new, of whatever arm, held against its package's."""

from collections.abc import Collection
from datetime import datetime
from functools import reduce

from flywheel.package import ModelPackage
from flywheel.profiling.series import Series
from flywheel.profiling.series_file import read_series
from monitoring.skew.release import Release, is_new, judge_release
from monitoring.windows.store import BlockStore


def first_release(
    store: BlockStore, version: str, package: ModelPackage | None, changed: Collection[datetime], as_of: datetime
) -> Release | None:
    """Judge a version's first blocks while they come in; None later, and where there is nothing to judge.

    Args:
        store: Of the use case's blocks.
        version: The registry's number.
        package: Its package; None where it is not here.
        changed: Starts of its blocks that are other than at the look before.
        as_of: Naive UTC.

    Raises:
        IntegrityError: The store or the package is damaged.
    """
    if package is None or package.blocks is None:
        return None
    parts = [store.series(key) for key in store.kept() if key.version == version]
    found = [part for part in parts if part is not None and part.blocks]
    if not found:
        return None
    live = reduce(Series.merge, found)
    if not is_new(live, set(changed), as_of):
        return None
    reference = read_series(package.blocks)
    return judge_release(version, reference, live, as_of) if reference.blocks else None
