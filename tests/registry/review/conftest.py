"""Versions with something to read: a package's small files, plots, metrics; a champion beside a candidate."""

import base64
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from flywheel.contract import Column, Contract
from flywheel.identities import CONTROLLER
from flywheel.profile import DataColumn, DataProfile, DayStatistic

if TYPE_CHECKING:
    from tests.registry.conftest import Server

ARTIFACTS = "mlflow-artifacts/artifacts"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)


def contract(*names: str) -> bytes:
    columns = [
        Column(name="at", type="datetime", nullable=False),
        *(Column(name=name, type="double", nullable=True) for name in names),
    ]
    return Contract(columns=tuple(columns), event_time="at", entity=None).model_dump_json().encode()


def data_profile(**means: float) -> bytes:
    day = DayStatistic(mean=0.0)
    columns = tuple(
        DataColumn(
            name=name,
            type="double",
            missing_share=0.0,
            quantiles=tuple(mean + share / 100 for share in range(101)),
            missing=day,
        )
        for name, mean in means.items()
    )
    return (
        DataProfile(
            rows=100, start=datetime(2026, 1, 1), end=datetime(2026, 2, 1), days=31, rows_per_day=day, columns=columns
        )
        .model_dump_json()
        .encode()
    )


def evaluation(loss: float, rival: str | None = None) -> bytes:
    score = {"value": loss, "low": loss - 0.1, "high": loss + 0.1}
    found: dict[str, Any] = {"scores": {"log_loss": score}, "slices": []}
    for value, worse in (("fog", 0.2), ("sun", -0.1)):
        part = {"column": "sky", "value": value, "rows": 40, "metric": "log_loss"}
        difference = {"value": worse, "low": worse - 0.05, "high": worse + 0.05}
        found["slices"].append({**part, "score": {"value": loss + worse}, "difference": difference})
    if rival:
        difference = {"value": -0.2, "low": -0.3, "high": -0.1}
        found["champion"] = {
            "name": rival,
            "verdict": "better",
            "scores": {"log_loss": loss + 0.2},
            "differences": {"log_loss": difference},
            "loss": difference,
            "p_value": 0.01,
        }
    return json.dumps(found).encode()


def packaged(server: "Server", model: str, files: dict[str, bytes], plots: tuple[str, ...] = ()) -> str:
    """Register a version whose package holds these files, and whose run these plots."""
    run, folder = server.run()
    for name, content in files.items():
        path = f"{ARTIFACTS}/{folder}/artifacts/package/{name}"
        assert server.call("ada", "PUT", path, data=content).status_code == 200
    for name in plots:
        path = f"{ARTIFACTS}/{folder.removesuffix('/model')}/plots/{name}.png"
        assert server.call("ada", "PUT", path, data=PIXEL).status_code == 200
    body = {"name": model, "source": f"mlflow-artifacts:/{folder}", "run_id": run}
    return str(server.made("ada", "model-versions/create", **body)["model_version"]["version"])


@pytest.fixture(scope="module")
def told(server: "Server") -> tuple[str, str, str]:
    """A model with a champion and a candidate, both with all that the page can show."""
    model = server.model()
    old = {
        "contract.json": contract("wind", "rain"),
        "data_profile.json": data_profile(wind=0.0, rain=5.0),
        "encoding.json": b'[{"name": "wind"}, {"name": "rain"}]',
        "evaluation.json": evaluation(0.6),
        "features.py": b"wind = 1\nrain = 2\n",
        "usecase.yaml": b"name: weather\n",
        "lineage.json": b'{"git_commit": "aaaaaaaaaaaaaaaa"}',
    }
    champion = packaged(server, model, old, plots=("roc", "calibration"))
    assert server.move("grace", model, champion, "Production").status_code == 200
    server.made(CONTROLLER, "registered-models/alias", name=model, alias="champion", version=champion)
    new = old | {
        "contract.json": contract("wind", "snow"),
        "data_profile.json": data_profile(wind=0.4, snow=1.0),
        "encoding.json": b'[{"name": "wind"}, {"name": "snow"}]',
        "evaluation.json": evaluation(0.5, "version 1.0.0"),
        "features.py": b"wind = 1\nsnow = '<script>alert(1)</script>'\n",
        "lineage.json": b'{"git_commit": "bbbbbbbbbbbbbbbb"}',
    }
    return model, champion, packaged(server, model, new, plots=("roc", "residuals"))
