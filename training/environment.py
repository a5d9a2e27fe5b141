"""`python -m training.environment` writes conda.yaml, the environment of `mlflow run`, from uv.lock.

An MLproject takes one environment file, and MLflow reads no lock: so the lock's pins for training are copied out, and a
test holds that both agree.
"""

import subprocess
import sys
from pathlib import Path

import typer
import yaml

from flywheel.errors import StackError

ROOT = Path(__file__).parents[1]
PYTHON = "3.11"
EXTRAS = ("training", "examples")
# The same library and version without 470 MB of GPU collectives; the lock leaves those out by an override, pip cannot.
SLIMMER = {"xgboost": "xgboost-cpu"}
HEADER = "# Written by `python -m training.environment` from uv.lock. Do not edit.\n"


def pins(root: Path) -> list[str]:
    """Return the lock's exact requirements for training and the examples, sorted.

    Raises:
        StackError: uv or its lock is missing.
    """
    command = [
        sys.executable,
        "-m",
        "uv",
        "export",
        "--frozen",
        "--no-hashes",
        "--no-emit-project",
        "--no-dev",
        "--no-annotate",
        "--no-header",
    ]
    for extra in EXTRAS:
        command += ["--extra", extra]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    except subprocess.CalledProcessError as fault:
        reason = fault.stderr.strip().splitlines()[-1]
        raise StackError(f"uv.lock cannot be exported: {reason}. Run `make install`, then `uv lock`.") from fault
    lines = (line.split(" ;")[0].strip() for line in done.stdout.splitlines())
    return sorted(slimmer(line) for line in lines if "==" in line)


def slimmer(requirement: str) -> str:
    """Replace a package by its build without what this platform does not use."""
    name, version = requirement.split("==")
    return f"{SLIMMER.get(name, name)}=={version}"


def conda_yaml(root: Path) -> str:
    """Return the text of conda.yaml for the lock in `root`."""
    environment = {
        "name": "flywheel",
        "channels": ["conda-forge"],
        "dependencies": [f"python={PYTHON}", "pip", {"pip": pins(root)}],
    }
    return HEADER + yaml.safe_dump(environment, sort_keys=False)


def main() -> None:
    """Write conda.yaml beside uv.lock."""
    path = ROOT / "conda.yaml"
    path.write_text(conda_yaml(ROOT))
    typer.echo(f"Wrote {path.name}.")


if __name__ == "__main__":
    main()
