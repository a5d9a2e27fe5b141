import subprocess
import sys
from importlib.metadata import entry_points


def test_what_every_mlflow_client_loads_stays_light() -> None:
    code = (
        "import sys, registry.plugin; sys.exit(any(name in sys.modules for name in ('sqlalchemy', 'mlflow', 'flask')))"
    )
    path = {"PYTHONPATH": ":".join(part for part in sys.path if part)}
    assert subprocess.run([sys.executable, "-c", code], env=path, check=False).returncode == 0


def test_mlflow_finds_the_gate_by_its_scheme() -> None:
    found = [point.name for point in entry_points(group="mlflow.model_registry_store")]
    assert "flywheel+postgresql+psycopg2" in found
