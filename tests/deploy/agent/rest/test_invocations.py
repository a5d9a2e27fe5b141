"""What MLflow's clients send beside the rows, and what they ask beside predictions."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from deploy.agent.signature import Signature, read_signature
from flywheel.errors import IntegrityError
from tests.deploy.agent.rest.serving import serving
from tests.deploy.conftest import row

SIGNATURE = Signature("3.17.2", {"temperature": 0.5, "top": None})


@pytest.mark.parametrize("params", [None, {}, {"temperature": 0.5}, {"temperature": 0.5, "top": None}])
async def test_parameters_that_the_signature_has_by_default_are_accepted(params: Any) -> None:
    async with serving(signature=SIGNATURE) as served:
        answer = await served.ask("/invocations", {"instances": [row()], "params": params})
    assert answer.status == 200


@pytest.mark.parametrize(
    ("signature", "params", "sentence"),
    [
        (Signature(), {"temperature": 0.5}, "This version's signature has no parameters"),
        (SIGNATURE, {"heat": 1}, "knows these parameters only: temperature, top"),
        (SIGNATURE, {"temperature": 0.7}, "'temperature' is served with its default"),
        (SIGNATURE, [1], "must be an object"),
    ],
)
async def test_other_parameters_are_refused_clearly_and_nothing_is_recorded(
    signature: Signature, params: Any, sentence: str
) -> None:
    async with serving(signature=signature) as served:
        answer = await served.ask("/invocations", {"instances": [row()], "params": params})
    error = orjson.loads(answer.body)["error"]
    assert (answer.status, error["rule"]) == (422, "params")
    assert sentence in error["message"]
    assert served.records() == []


async def test_version_is_mlflows_as_text_and_what_is_served_for_who_accepts_json() -> None:
    async with serving(signature=SIGNATURE) as served:
        plain = await served.ask("/version", method="GET", accept="*/*")
        told = orjson.loads((await served.ask("/version", method="GET", accept="application/json")).body)
    assert (plain.body, plain.content_type) == (b"3.17.2", b"text/plain; charset=utf-8")
    assert told == {"use_case": "tiny", "version": "1", "digest": "d", "mlflow_version": "3.17.2", "ready": False}


@pytest.mark.parametrize("depth", [1_000, 100_000])
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
async def test_deep_nesting_is_refused_wherever_it_stands(depth: int, opening: bytes) -> None:
    closing = (b"]" if opening == b"[" else b"}") * depth
    deep = opening * depth + (b"1" if opening != b"[" else b"") + closing
    async with serving() as served:
        for body in (deep, b'{"instances": ' + deep + b"}", b'{"instances": [{"at": ' + deep + b"}]}"):
            assert (await served.ask("/invocations", body)).status in (400, 422)
    assert served.records() == []


def test_a_signature_is_read_from_the_models_own_file(tmp_path: Path) -> None:
    path = tmp_path / "MLmodel"
    params = json.dumps([{"name": "top", "type": "long", "default": 3, "shape": None}])
    path.write_text(f"mlflow_version: 3.17.2\nsignature:\n  inputs: '[]'\n  params: '{params}'\n")
    assert read_signature(tmp_path) == Signature("3.17.2", {"top": 3})
    path.write_text("mlflow_version: 3.17.2\nsignature: {inputs: '[]', params: null}\n")
    assert read_signature(tmp_path).params == {}
    for damaged in ("[", "- 1", "signature: {params: '[3]'}"):
        path.write_text(damaged)
        with pytest.raises(IntegrityError, match="is no MLmodel"):
            read_signature(tmp_path)
