"""All labelled rows of a history, read, checked and encoded once: what a backtest's fits are made on.

python -m training.encode --usecase FILE --as-of TIME [--begin TIME] FOLDER

With `--begin`, nothing is encoded unless a first training could be as of that time: features may take long.
"""

import argparse
import sys
from datetime import datetime
from pathlib import Path

from flywheel.errors import FlywheelError, UsageError
from flywheel.usecase import load_usecase
from training.arguments import parse_as_of
from training.prepare import Prepared, encode_rows, prepare


def encode(path: Path, as_of: str, folder: Path, begin: str = "") -> None:
    """Encode the rows whose label is known at a time into a new folder.

    Raises:
        UsageError: Too few rows lie before `begin`.
        FlywheelError: The use case or its data is not as declared.
    """
    usecase, moment, first = load_usecase(path), parse_as_of(as_of), parse_as_of(begin)
    prepared = prepare(usecase, path, moment)
    if first is not None:
        check_begin(prepared, first)
    encode_rows(prepared, folder)


def check_begin(prepared: Prepared, begin: datetime) -> None:
    """Refuse a beginning before which there is no more than a validation, or behind which there is nothing.

    Raises:
        UsageError: Says what rows there are.
    """
    times, validation = prepared.split.rows[prepared.split.time], prepared.usecase.train.validation
    first, last = times.item(0), times.item(-1)
    if not first + validation < begin <= last:
        raise UsageError(
            f"Labelled rows go from {first:%Y-%m-%d} to {last:%Y-%m-%d}, and --from {begin:%Y-%m-%d} must lie more than"
            f" the validation ({validation.days} days) behind the first, and before the last."
        )


def main(arguments: list[str] | None = None) -> None:
    """Encode; a fault is one line on stderr and an exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.encode")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--usecase", type=Path, required=True)
    parser.add_argument("--as-of", required=True)
    parser.add_argument("--begin", default="")
    options = parser.parse_args(arguments)
    try:
        encode(options.usecase, options.as_of, options.folder, options.begin)
    except FlywheelError as fault:
        sys.stderr.write(f"{fault}\n")
        sys.exit(fault.exit_code)


if __name__ == "__main__":
    main()
