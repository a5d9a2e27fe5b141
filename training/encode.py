"""All labelled rows of a history, read, checked and encoded once: what a backtest's fits are made on.

python -m training.encode --usecase FILE --as-of TIME FOLDER
"""

import argparse
import sys
from pathlib import Path

from flywheel.errors import FlywheelError
from flywheel.usecase import load_usecase
from training.arguments import parse_as_of
from training.prepare import encode_rows, prepare


def encode(path: Path, as_of: str, folder: Path) -> None:
    """Encode the rows whose label is known at a time into a new folder.

    Raises:
        FlywheelError: The use case or its data is not as declared.
    """
    usecase, moment = load_usecase(path), parse_as_of(as_of)
    encode_rows(prepare(usecase, path, moment), folder)


def main(arguments: list[str] | None = None) -> None:
    """Encode; a fault is one line on stderr and an exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.encode")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--usecase", type=Path, required=True)
    parser.add_argument("--as-of", required=True)
    options = parser.parse_args(arguments)
    try:
        encode(options.usecase, options.as_of, options.folder)
    except FlywheelError as fault:
        sys.stderr.write(f"{fault}\n")
        sys.exit(fault.exit_code)


if __name__ == "__main__":
    main()
