"""A version's level, moved between trainings: the one formula, and the file by which monitoring tells agents of it.

    HOME/monitoring/<use case>/recalibration/<version>.json    of one version, replaced whole
    HOME/run/recalibration.key                                 what it is signed with: HMAC-SHA256, mode 600

Whoever approved a version approved `monitor.recalibrate` in its usecase.yaml, and so whether it may be moved, how far
and for how long. Reading this imports neither numpy nor polars: the agent does so at start.
"""

import hashlib
import hmac
import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from flywheel.errors import IntegrityError

if TYPE_CHECKING:
    from flywheel.statistics import Floats

P = TypeVar("P", float, "Floats")
KEY = Path("run/recalibration.key")
KEY_BYTES = 32
LEAST, MOST = 1e-15, 1 - 1e-15  # between which what is moved must lie, as losses have it
SLACK = timedelta(minutes=5)  # that the clock of whoever wrote may be ahead
STEPS = 100  # of fading, so that agents agree though they look at different moments
AGAIN = "The next look writes it anew."


def moved(probability: P, against: float) -> P:
    """Return probabilities (any shape) moved on the scale of log-odds; never out of order.

    With odds o = p / (1 - p) and a shift s, expit(logit(p) + s) = 1 / (1 + exp(-s) / o).

    Args:
        probability: From `LEAST` to `MOST`.
        against: exp(-s); moving by its inverse goes back.
    """
    return 1 / (1 + (1 - probability) / probability * against)


def weight(age: timedelta, lasts: timedelta) -> float:
    """Return what of a shift counts at this age: all of it while it lasts, then evenly less, from twice that on 0."""
    return min(1.0, max(0.0, math.ceil(STEPS * (2 - age / lasts)) / STEPS))


def read_key(path: Path) -> bytes:
    """Read a key.

    Raises:
        IntegrityError: It is not there, or none.
    """
    try:
        key = bytes.fromhex(path.read_text())
    except (OSError, ValueError) as fault:
        raise IntegrityError(f"Key {path} cannot be used: {fault}. Remove it; the next look makes another.") from fault
    if len(key) != KEY_BYTES:
        raise IntegrityError(f"Key {path} has {len(key)} bytes, not {KEY_BYTES}. Remove it; the next look makes one.")
    return key


def path_of(home: Path, use_case: str, version: str) -> Path:
    """Return where the file of a version lies."""
    return home / "monitoring" / use_case / "recalibration" / f"{version}.json"


class Recalibrated(BaseModel):
    """By how much one version's answers are moved.

    Attributes:
        format: Of the file.
        use_case: Whose version.
        version: In the registry.
        digest: Of its package.
        shift: Added to the log-odds of class 1.
        as_of: It knows what was known then (naive UTC, event time).
        made: When it was learned or found to hold still (UTC, by the clock): from then on it lasts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal[1] = 1
    use_case: str
    version: str
    digest: str
    shift: float
    as_of: datetime
    made: AwareDatetime

    def signed(self, key: bytes) -> bytes:
        """Return the file's content: a line of JSON and its HMAC."""
        said = self.model_dump_json().encode()
        return said + b"\n" + _mac(said, key) + b"\n"

    @classmethod
    def read(cls, path: Path, key: bytes) -> Self:
        """Read a file that this key has signed.

        Raises:
            IntegrityError: It is damaged or signed with another key.
            FileNotFoundError: There is none.
        """
        lines = path.read_bytes().split(b"\n")
        if len(lines) != 3 or lines[2]:
            raise IntegrityError(f"Recalibration {path} is damaged: it is not whole. {AGAIN}")
        if not hmac.compare_digest(lines[1], _mac(lines[0], key)):
            raise IntegrityError(f"Recalibration {path} is not signed with this home's key. {AGAIN}")
        try:
            return cls.model_validate_json(lines[0])
        except ValidationError as fault:
            raise IntegrityError(f"Recalibration {path} is damaged: {fault.errors()[0]['msg']}. {AGAIN}") from fault

    def check(self, most: float, now: datetime) -> None:
        """Refuse a shift that its version's package does not allow, or of a time to come.

        Raises:
            IntegrityError: That is so.
        """
        if abs(self.shift) > most:
            raise IntegrityError(f"Shift {self.shift:+.3f} is beyond the ±{most:g} that the version's package allows.")
        if self.made > now + SLACK:
            raise IntegrityError(f"It was made at {self.made:%Y-%m-%d %H:%M}, which is still to come. Set the clocks.")


def _mac(said: bytes, key: bytes) -> bytes:
    return hmac.new(key, said, hashlib.sha256).hexdigest().encode()
