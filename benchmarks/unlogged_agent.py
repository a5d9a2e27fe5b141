"""An agent that records nothing, to price the prediction log: neither are records made nor is anything written.

python -m benchmarks.unlogged_agent ARGUMENTS-OF-AN-AGENT
"""

import sys
from typing import Any

from deploy.agent import __main__ as agent
from deploy.agent.recording import Recorder
from deploy.agent.spool import Spool


def nothing(*arguments: Any) -> Any:
    """Take what would be recorded."""
    return b""


def main() -> int:
    """Run an agent without its log."""
    for owner, name in ((Recorder, "lines"), (Spool, "append")):
        if not hasattr(owner, name):
            sys.exit(f"{owner.__name__}.{name} is gone: correct benchmarks/unlogged_agent.py.")
        setattr(owner, name, nothing)
    return agent.main()


if __name__ == "__main__":
    sys.exit(main())
