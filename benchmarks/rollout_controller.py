"""The controller of the rollout benchmark: Flywheel's own, whose registry is a folder, until the process is ended.

Versions are served by ONNX without being measured against an MLflow worker first, which takes twenty seconds a version
and is no part of what is asked here. All else is as `flywheel deploy` runs it.
"""

import sys
import time

from rich.console import Console

import deploy.local.upkeep
import deploy.loop.leading
from deploy.local.choice import Asked, Choice
from deploy.loop.leading import leading_controller
from deploy.loop.reconcile import Pace, run_until_settled
from deploy.loop.view import progress_view
from flywheel.errors import FlywheelError
from flywheel.settings import load_settings
from tests.deploy.deploy_tiny import FolderRegistry

SECONDS = 600.0
IDLE_SECONDS = 0.2


def onnx_at_once(asked: Asked, *, has_onnx: bool) -> Choice:
    """Choose ONNX."""
    del has_onnx
    return Choice(asked, "onnx", "The benchmark serves its versions so.")


def main() -> None:
    """Reconcile, and look again for what people have approved."""
    vars(deploy.local.upkeep)["without_measuring"] = onnx_at_once
    vars(deploy.loop.leading)["MlflowRegistry"] = FolderRegistry
    with (
        leading_controller(load_settings(), SECONDS, lambda line: None) as controller,
        progress_view(Console()) as show,
    ):
        while True:
            try:
                run_until_settled(controller, Pace(time.monotonic, time.sleep), SECONDS, show)
            except FlywheelError as fault:
                sys.stderr.write(f"{fault}\n")
            time.sleep(IDLE_SECONDS)


if __name__ == "__main__":
    main()
