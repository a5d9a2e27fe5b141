"""Differences of two versions: what differs and nothing else, bounded, on the real server too."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.history.difference import LINES, SHOWN, Change, Facts, compare, libraries
from registry.history.printout import difference_lines
from tests.registry.conftest import ARTIFACTS, Server

A = Facts(
    "churn",
    "3",
    stage="Archived",
    metrics={
        "test_log_loss": 0.5,
        "test_log_loss_low": 0.4,
        "test_log_loss_high": 0.6,
        "rows": 100.0,
        "bad": float("nan"),
    },
    params={"family": "xgboost", "depth": "4"},
    data={"data_digest": "sha256:1"},
    inputs={"carrier": "string", "delay": "long"},
    texts={"features.py": "def features(frame):\n    return frame\n", "requirements.lock": "polars==2.1\nold==1\n"},
    evidence={"size": "pass: 3 MB"},
)
B = Facts(
    "churn",
    "4",
    stage="Production",
    aliases=("champion",),
    metrics={"test_log_loss": 0.4},
    params={"family": "xgboost", "depth": "6"},
    data={"data_digest": "sha256:2"},
    inputs={"carrier": "string", "delay": "double", "origin": "string"},
    texts={"features.py": "def features(frame):\n    return frame.drop('x')\n", "requirements.lock": "polars==2.2\n"},
)


def test_only_what_differs_is_told() -> None:
    found = compare(A, B)
    assert found.params.rows == (Change("depth", "4", "6"),)
    assert found.inputs.rows == (Change("delay", "long", "double"), Change("origin", None, "string"))
    assert found.libraries.rows == (Change("old", "1", None), Change("polars", "2.1", "2.2"))
    assert found.evidence.rows == (Change("size", "pass: 3 MB", None),)
    assert [row.name for row in found.version.rows] == ["aliases", "stage"]
    assert [file.name for file in found.files] == ["features.py"]
    assert "-    return frame" in found.files[0].lines
    loss = found.figures[0]
    assert (loss.name, loss.a, loss.b) == ("test_log_loss", (0.5, 0.4, 0.6), (0.4, None, None))
    lines = "\n".join(difference_lines(json.loads(json.dumps(found.document(), allow_nan=False))))
    assert "test_log_loss: 0.5 (0.4 to 0.6) | 0.4" in lines
    assert "depth: 4 | 6" in lines


def test_a_version_does_not_differ_from_itself() -> None:
    found = compare(A, A)
    assert not any((found.version.rows, found.params.rows, found.data.rows, found.inputs.rows, found.files))


def test_what_is_huge_is_cut_and_says_by_how_much() -> None:
    many = Facts(
        "m", "1", params={str(number): "x" * 5000 for number in range(1000)}, texts={"features.py": "a\n" * 9000}
    )
    found = compare(many, Facts("m", "2"))
    assert (len(found.params.rows), found.params.cut) == (SHOWN, 1000 - SHOWN)
    assert len(found.files[0].lines) == LINES
    assert found.files[0].cut > 0
    assert len(json.dumps(found.document())) < 200_000


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=5), st.data())
def test_every_difference_of_parameters_is_a_row(params: dict[str, str], data: st.DataObject) -> None:
    other = data.draw(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=5))
    rows = compare(Facts("m", "1", params=params), Facts("m", "2", params=other)).params.rows
    assert {row.name for row in rows} == {key for key in {*params, *other} if params.get(key) != other.get(key)}


def test_libraries_are_read_from_locks_of_any_make() -> None:
    lock = "# by uv\nnumpy==2.4.6 \\\n    --hash=sha256:0\nColorama==0.4 ; sys_platform == 'win32'\nnot a line\n"
    assert libraries(lock) == {"numpy": "2.4.6", "colorama": "0.4"}


def put(server: Server, source: str, name: str, text: str) -> None:
    path = f"{ARTIFACTS}/{source.removeprefix('mlflow-artifacts:/').strip('/')}/{name}"
    assert server.call("ada", "PUT", path, data=text.encode()).status_code == 200


def version_with(server: Server, model: str, **files: Any) -> str:
    run, folder = server.run()
    for name, text in files.items():
        put(server, folder, f"artifacts/package/{name.replace('__', '.')}", text)
    assert server.post("ada", "runs/log-metric", run_id=run, key="auc", value=0.7, timestamp=0).status_code == 200
    body = {"name": model, "source": f"mlflow-artifacts:/{folder}", "run_id": run}
    return str(server.made("ada", "model-versions/create", **body)["model_version"]["version"])


def test_the_server_compares_versions_named_in_any_form(server: Server, model: str) -> None:
    version_with(server, model, features__py="x = 1\n", contract__json='{"columns": [{"name": "x", "type": "long"}]}')
    version_with(server, model, features__py="x = 2\n", contract__json="no JSON", lineage__json='{"parts": [1]}')
    alias = {"name": model, "alias": "candidate", "version": "2"}
    assert server.post("ada", "registered-models/alias", **alias).status_code == 200
    for first, second in ((f"{model}/1", f"{model}@candidate"), (f"models:/{model}/1", f"models:/{model}@candidate")):
        answer = server.call("grace", "GET", f"/flywheel/api/diff?a={first}&b={second}")
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert (found["a"], found["b"]) == (f"{model}/1", f"{model}/2")
        assert "+x = 2" in found["files"][0]["lines"]
        assert found["inputs"]["rows"] == [{"name": "x", "a": "long", "b": None}]
        assert found["figures"][0]["a"] == [0.7, None, None]


@pytest.mark.parametrize(
    ("named", "status", "said"),
    [
        ("nothing", 400, "names no version"),
        ("", 400, "names no version"),
        ("{model}/99", 404, "99"),
        ("{model}@nobody", 400, "nobody"),  # as MLflow says it
        ("{model}/latest", 400, "names no version"),
        ("other/../{model}/1", 400, "names no version"),
    ],
)
def test_a_name_that_is_none_is_said(server: Server, model: str, named: str, status: int, said: str) -> None:
    server.register(model)
    path = f"/flywheel/api/diff?a={model}/1&b={named.format(model=model)}"
    answer = server.call("grace", "GET", path)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["message"]


def test_a_model_that_is_not_ours_is_compared_by_what_there_is(server: Server, model: str) -> None:
    server.register(model)
    server.register(model, source="s3://elsewhere/model")
    answer = server.call("ada", "GET", f"/flywheel/api/diff?a={model}/1&b={model}/2")
    assert answer.status_code == 200, answer.text
    assert answer.json()["files"] == []
