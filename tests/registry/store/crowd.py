"""A process of the concurrency tests: opens the gate store and makes its share of the moves, all at once.

python -m tests.registry.store.crowd URL MODEL VERSION SHARE    reads "user stage" lines, prints 1 or 0 for each
python -m tests.registry.store.crowd URL MODEL VERSION --die    dies in the middle of a transaction
"""

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

from flask import Flask, g
from mlflow.exceptions import MlflowException

from registry.store.gate import GateStore


def say(line: str) -> None:
    """Tell the test."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def move(store: GateStore, user: str, model: str, version: str, stage: str) -> bool:
    """Ask for one transition; say whether it happened."""
    with Flask("crowd").test_request_context():
        g.mlflow_authenticated_user = user
        try:
            store.transition_model_version_stage(model, version, stage, False)
        except MlflowException as fault:
            if fault.error_code != "PERMISSION_DENIED":
                raise
            return False
        return True


def die(store: GateStore, model: str, version: str) -> None:
    """Move the version, and be killed before the commit."""
    stock = store._move

    def moved_and_killed(*arguments: object, **more: object) -> None:
        stock(*arguments, **more)  # type: ignore[arg-type]
        os.kill(os.getpid(), signal.SIGKILL)

    store._move = moved_and_killed  # type: ignore[method-assign]
    move(store, "ada", model, version, "Staging")


def main() -> None:
    """Run one share."""
    url, model, version, *rest = sys.argv[1:]
    store = GateStore(f"flywheel+{url}")
    if rest == ["--die"]:
        die(store, model, version)
        return
    say("started")
    asks = [line.split() for line in sys.stdin.read().splitlines()]
    with ThreadPoolExecutor(10) as pool:
        happened = pool.map(lambda ask: move(store, ask[0], model, version, ask[1]), asks)
    say("".join(str(int(one)) for one in happened))


if __name__ == "__main__":
    main()
