"""An agent whose prediction log is switched off by SIGUSR1 and on again by SIGUSR2, to price the log.

Switched off, neither are records made nor is anything written.

python -m benchmarks.switched_agent ARGUMENTS-OF-AN-AGENT
"""

import signal
import sys
from typing import Any

from deploy.agent import __main__ as agent
from deploy.agent.recording import Recorder
from deploy.agent.spool import Spool

OFF, ON = signal.SIGUSR1, signal.SIGUSR2
PARTS = ((Recorder, "lines"), (Spool, "append"))


def nothing(*arguments: Any) -> Any:
    """Take what would be recorded."""
    return b""


def main() -> int:
    """Run an agent, with its log on until it is told otherwise."""
    for owner, name in PARTS:
        if not hasattr(owner, name):
            sys.exit(f"{owner.__name__}.{name} is gone: correct benchmarks/switched_agent.py.")
    real = {(owner, name): getattr(owner, name) for owner, name in PARTS}

    def switch(number: int, _frame: object) -> None:
        for (owner, name), method in real.items():
            setattr(owner, name, nothing if number == OFF else method)

    for number in (OFF, ON):
        signal.signal(number, switch)
    return agent.main()


if __name__ == "__main__":
    sys.exit(main())
