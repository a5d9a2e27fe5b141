"""`python -m training.environment` writes conda.yaml, the environment of `mlflow run`, from uv.lock.

Where both lie in the project's folder, `mlflow run --env-manager uv` installs from the lock; where only conda.yaml
does, from that. So conda.yaml is an export of what MLflow's own call of uv would install, and a test holds that both
agree (docs/decisions/0005).
"""

import subprocess
import sys
from pathlib import Path

import typer
import yaml

from flywheel.errors import StackError

ROOT = Path(__file__).parents[1]
PYTHON = "3.11"
# As MLflow calls `uv sync`: without group dev, and so with group mlproject alone, which is a default in pyproject.toml.
SCOPE = ("--frozen", "--no-dev")
FORMAT = ("--no-hashes", "--no-emit-project", "--no-annotate", "--no-header")
# The same library and version without 470 MB of GPU collectives; the lock leaves those out by an override, pip cannot.
SLIMMER = {"xgboost": "xgboost-cpu"}
HEADER = """\
# Written by `python -m training.environment` from uv.lock. Do not edit. It names xgboost-cpu where pyproject.toml names
# xgboost: the same library and version without the 470 MB of GPU collectives that only the lock can leave out.
"""


def pins(root: Path) -> list[str]:
    """Return the lock's exact requirements for training, monitoring and the examples, sorted.

    Raises:
        StackError: uv or its lock is missing.
    """
    command = [sys.executable, "-m", "uv", "export", *SCOPE, *FORMAT]
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
