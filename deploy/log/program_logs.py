"""Rotating the logs of programs that run: each has one, HOME/logs/<program>.log, and one older file beside it.

`flywheel.stack.launch` rotates a log when its program starts; an agent may run for months. Programs write in append
mode and keep their file open, so a full one is copied aside and emptied: what is written between the two is lost, a
line or two of what people read. The gateway's access log, of which no line may be lost, is rotated otherwise.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from flywheel.stack.launch import ROTATE_BYTES


def rotate(folder: Path, limit: int = ROTATE_BYTES) -> list[Path]:
    """Copy every program's log of more than `limit` bytes aside and empty it; return those."""
    full = [path for path in sorted(folder.glob("*.log")) if path.stat().st_size > limit]
    for path in full:
        with suppress(FileNotFoundError):  # its program was started anew just now, which rotated it
            shutil.copyfile(path, path.with_suffix(".log.1"))
            os.truncate(path, 0)
    return full
