"""S3: Parquet and CSV from a real endpoint that wants keys; address and keys come from the environment."""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from flywheel.errors import DataError, FlywheelError
from flywheel.usecase import Source
from training.sources.cloud import storage_options
from training.sources.origin import Table
from training.sources.table import read_table

FRAME = pl.DataFrame({"a": [1, 2], "s": ["x", "y"]})


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Yield the environment of an S3 server whose bucket `data` holds `rows.*` and `parts/`."""
    bucket = tmp_path_factory.mktemp("objects") / "data"
    (bucket / "parts").mkdir(parents=True)
    FRAME.write_parquet(bucket / "rows.parquet")
    FRAME.write_csv(bucket / "rows.csv")
    for number in range(2):
        FRAME.write_parquet(bucket / f"parts/{number}.parquet")
    FRAME.write_delta(bucket / "table")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    key, secret = "the-key", secrets.token_hex(8)
    environment = {**os.environ, "RCLONE_AUTH_KEY": f'"{key},{secret}"', "RCLONE_CONFIG": "/dev/null"}
    command = [
        str(Path(sys.executable).with_name("rclone")),
        "serve",
        "s3",
        str(bucket.parent),
        "--addr",
        f"127.0.0.1:{port}",
    ]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as server:
        try:
            _await(port)
            yield {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
                "AWS_ACCESS_KEY_ID": key,
                "AWS_SECRET_ACCESS_KEY": secret,
                "AWS_REGION": "us-east-1",
            }
        finally:
            server.terminate()


def _await(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, "the S3 server did not start"
        else:
            return


@pytest.fixture
def cloud(endpoint: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment as a person would."""
    for name, value in endpoint.items():
        monkeypatch.setenv(name, value)


def read(path: str, kind: str, *leave: str) -> Table:
    return read_table(
        Source.model_validate({"kind": kind, "path": path}), Path("/nowhere"), datetime(2024, 1, 1), leave
    )


@pytest.mark.usefixtures("cloud")
def test_a_file_a_folder_and_a_glob_are_read() -> None:
    assert read("s3://data/rows.parquet", "parquet").frame.equals(FRAME)
    assert read("s3://data/rows.parquet", "parquet", "s").frame.columns == ["a"]
    assert read("s3://data/rows.csv", "csv").frame.equals(FRAME)
    assert read("s3://data/parts/", "parquet").frame.height == 4
    assert read("s3://data/parts/*.parquet", "parquet").frame.height == 4
    assert read("s3://data/rows.csv", "csv").origin.place == "s3://data/rows.csv"


@pytest.mark.usefixtures("cloud")
def test_a_delta_table_is_read_at_its_version() -> None:
    found = read("s3://data/table", "delta")
    assert found.frame.equals(FRAME)
    assert found.origin.describe() == "delta s3://data/table at version 0"
    with pytest.raises(DataError, match="s3://data/parts is no Delta table"):
        read("s3://data/parts", "delta")


@pytest.mark.usefixtures("cloud")
def test_what_is_not_there_is_one_sentence() -> None:
    with pytest.raises(DataError, match=r"s3://data/gone\.parquet cannot be read as parquet"):
        read("s3://data/gone.parquet", "parquet")


@pytest.mark.usefixtures("cloud")
def test_wrong_keys_are_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    with pytest.raises(FlywheelError, match=r"s3://data/rows\.parquet cannot be read") as caught:
        read("s3://data/rows.parquet", "parquet")
    assert "not-the-secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_plain_http_endpoint_is_allowed_only_when_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    assert "aws_allow_http" not in storage_options()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    options = storage_options()
    assert options["aws_allow_http"] == "true"
    assert options["aws_region"] == "us-east-1"
