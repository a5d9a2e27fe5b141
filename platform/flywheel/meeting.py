"""Two kinds of rows that belong together by a key and come in any order: whoever is first waits for the other."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

LEFT, RIGHT, TURN = "_left", "_right", "_turn"
# Rows that wait on one side. Beyond it the oldest go, so that a log without its other half fills no memory.
MOST = 1_000_000
MOST_PIECES = 64
# Rows that are done with are let go once they are more than one in so many.
MANY = 8


@dataclass(frozen=True)
class Meeting:
    """What waits on either side.

    Rows that have the same key are paired, the first with the first and the second with the second: a client may use
    one request id twice. Each row is in one pair at most, and it does not matter at which look it came. With `within`
    several rows of the left, told apart by these columns, share one of the right: the rows of one request.

    Args:
        key: Columns of both sides; null meets nothing.
        times: Column of each side that says since when a row waits.
        within: Columns of the left.
        left: (n, …), in order of arrival; None before the first look.
        right: (m, …); no column but the key is in `left` as well.
    """

    key: tuple[str, ...]
    times: tuple[str, str]
    within: tuple[str, ...] = ()
    left: pl.DataFrame | None = None
    right: pl.DataFrame | None = None

    def take(self, left: pl.DataFrame, right: pl.DataFrame) -> tuple[pl.DataFrame, "Meeting"]:
        """Return the pairs that the new rows make, with the columns of both, and what waits after them."""
        quiet = left.is_empty() and right.is_empty()
        left, right = joined(self.left, left), joined(self.right, right)
        ours, theirs = left.with_row_index(LEFT), right.with_row_index(RIGHT)
        if not quiet:
            ours, theirs = shared(ours, theirs, self.key)
        if quiet or ours.is_empty():
            nothing = left.clear().hstack(right.clear().drop(self.key))
            return nothing, replace(self, left=left, right=right)
        ours = ours.with_columns(pl.int_range(pl.len()).over([*self.key, *self.within]).alias(TURN))
        theirs = theirs.with_columns(pl.int_range(pl.len()).over(self.key).alias(TURN))
        pairs = ours.join(theirs, on=[*self.key, TURN], how="inner", maintain_order="left")
        rest = replace(self, left=without(left, pairs[LEFT]), right=without(right, pairs[RIGHT]))
        return pairs.drop(LEFT, RIGHT, TURN), rest

    def since(self, left: datetime | None, right: datetime | None) -> "Meeting":
        """Let go of what has waited on a side since before a time (naive UTC); None: it waits for good."""
        return replace(
            self, left=kept_since(self.left, self.times[0], left), right=kept_since(self.right, self.times[1], right)
        )


def shared(one: pl.DataFrame, other: pl.DataFrame, key: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows of each whose key the other has, in their order.

    The longer goes first, since the table of keys is made of the other: of a million keys it would cost 50 ms.
    """
    if one.is_empty() or other.is_empty():
        return one.clear(), other.clear()
    if one.height < other.height:
        theirs, ours = shared(other, one, key)
        return ours, theirs
    one = one.join(other, on=key, how="semi", maintain_order="left")
    return one, other.join(one, on=key, how="semi", maintain_order="left")


def kept_since(frame: pl.DataFrame | None, time: str, begin: datetime | None) -> pl.DataFrame | None:
    """Return the rows that are not from before `begin`, and of these the last `MOST`.

    Some from before it stay until they are many: to copy a million rows takes longer than all else of a look.
    """
    if frame is None or begin is None:
        return None if frame is None else frame.tail(MOST)
    late = (frame[time] < begin).fill_null(value=False)
    return (frame.filter(~late) if late.sum() * MANY > frame.height else frame).tail(MOST)


def without(frame: pl.DataFrame, places: pl.Series) -> pl.DataFrame:
    """Return the rows (n,) but those at `places`."""
    return frame.filter(~among(frame.height, places)) if places.len() else frame


def among(count: int, places: pl.Series) -> pl.Series:
    """Say of each of `count` places whether it is one of these."""
    nowhere = pl.repeat(value=False, n=count, dtype=pl.Boolean, eager=True)
    return nowhere.scatter(places.unique(), values=True) if places.len() else nowhere


def joined(waiting: pl.DataFrame | None, new: pl.DataFrame) -> pl.DataFrame:
    """Return what waits with what is new after it."""
    if waiting is None:
        return new
    # Each look adds a piece; of very many every later step would be slow.
    return pl.concat([waiting, new], rechunk=waiting.n_chunks() >= MOST_PIECES)
