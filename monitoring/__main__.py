"""`python -m monitoring --usecase FILE …`: entry point `monitor` of the MLproject; the same as `flywheel monitor`."""

import sys

from flywheel.cli import main

if __name__ == "__main__":
    # MLproject names every parameter; the command takes the use case by position.
    sys.argv[1:] = ["monitor", *(word for word in sys.argv[1:] if word != "--usecase")]
    main()
