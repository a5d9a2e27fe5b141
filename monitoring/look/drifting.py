"""Drift of one version: its blocks in the store against those it was trained on, its watch kept from look to look.

A watch goes on where it ended, so that a look costs what is new, whatever the history. It is kept as of blocks that
late rows and outcomes hardly change any more; the newer ones are judged on a copy each time. Where a block that it
holds has changed all the same, it learns anew.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from flywheel.errors import IntegrityError
from flywheel.package import ModelPackage
from flywheel.profiling.block import Block
from flywheel.profiling.series import Series
from flywheel.profiling.series_file import read_series
from flywheel.profiling.watched import LABEL
from monitoring.drift.decision import DriftDecision, decide, undecided
from monitoring.drift.state import watch_bytes, watch_from
from monitoring.drift.watch import LEAST_BLOCKS, Watch, learn
from monitoring.look.budget import drift_settings
from monitoring.windows.index import put

LATE_BLOCKS = 2  # after which rows that come late are rare


def judge_drift(
    package: ModelPackage, live: Series | None, state: Path, *, changed: Iterable[datetime], as_of: datetime
) -> DriftDecision:
    """Judge the blocks of a version that are over and not judged for good yet.

    Args:
        package: Of the version, with its reference.
        live: Its blocks so far; None where it has answered nothing.
        state: Where its watch is kept.
        changed: Starts of blocks that are other than at the look before.
        as_of: Naive UTC; blocks that are not over then wait.

    Raises:
        IntegrityError: The package's blocks are damaged.
    """
    settings, delay = drift_settings(package.usecase.monitor.drift), package.usecase.data.label.available_after
    if package.blocks is None:
        return undecided("Its package is of an earlier release and holds no blocks: train it anew.", settings)
    reference = read_series(package.blocks)
    if len(reference.blocks) < LEAST_BLOCKS:
        few = f"It was trained on {len(reference.blocks)} days, and it takes {LEAST_BLOCKS} to know what is usual."
        return undecided(few, settings)
    last = reference.blocks[-1].start
    over = [block for block in (live.blocks if live else ()) if last < block.start and block.end <= as_of]
    if not over:
        return undecided("No block of its answers is over that lies behind those it was trained on.", settings)
    blocks = [_as_known(block, delay, as_of) for block in over]
    settled = as_of - max(delay, timedelta(0)) - LATE_BLOCKS * reference.every
    watch = _watch(package, reference, state, changed)
    start = watch.newest or last
    looks = [watch.take(block) for block in blocks if start < block.start and block.end <= settled]
    state.parent.mkdir(parents=True, exist_ok=True)
    put(state, watch_bytes(watch))
    fresh = watch_from(watch_bytes(watch), str(state))
    looks += [fresh.take(block) for block in blocks if block.start > (fresh.newest or last)]
    return decide(fresh, looks) if looks else undecided("No block is new since the look before.", settings)


def _watch(package: ModelPackage, reference: Series, state: Path, changed: Iterable[datetime]) -> Watch:
    """Return the watch as it was kept, or a new one where it no longer holds."""
    settings = drift_settings(package.usecase.monitor.drift)
    try:
        kept = watch_from(state.read_bytes(), str(state))
        starts = tuple(block.start for block in reference.blocks)
        holds = kept.newest is None or all(start > kept.newest for start in changed)
        if holds and (kept.settings, kept.reference) == (settings, starts):
            return kept
    except (FileNotFoundError, IntegrityError):
        pass  # learned anew from what it was made of
    made = learn(reference, settings)
    # Outcomes come late, and some never: that they are missing is told by the windows' counts.
    return replace(made, present=tuple(name for name in made.present if name != LABEL))


def _as_known(block: Block, delay: timedelta, as_of: datetime) -> Block:
    """Leave out labels that are still coming: those that come first are not like the others."""
    if block.end + delay <= as_of:
        return block
    return replace(
        block,
        columns={name: one for name, one in block.columns.items() if name != LABEL},
        numbers={name: one for name, one in block.numbers.items() if name != LABEL},
        categories={name: one for name, one in block.categories.items() if name != LABEL},
    )


def state_path(home: Path, use_case: str, version: str) -> Path:
    """Return where the watch of a version is kept."""
    return home / "monitoring" / use_case / "drift" / f"{version}.watch"
