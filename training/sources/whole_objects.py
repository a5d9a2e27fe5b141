"""S3 endpoints that cannot send parts of objects: whole objects are copied to a temporary folder, and read from there.

Polars and Delta ask for ranges of bytes. Small servers, among them the one that the stack runs for artifacts, ignore
that and send the whole object, which both refuse.
"""

import glob
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import boto3  # type: ignore[import-untyped]  # published without types
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

from flywheel.errors import DataError
from training.sources.cloud import SCHEMES, storage_options
from training.sources.faults import first_line

SYMPTOM = "non-partial response when range requested"  # object_store's words


def needs_whole_objects(fault: BaseException) -> bool:
    """Say whether a read failed because the endpoint ignores ranges."""
    return SYMPTOM in str(fault)


@contextmanager
def local_copy(path: str) -> Iterator[tuple[Path, str]]:
    """Copy what an s3:// path, folder or glob means; yield the folder that stands for the bucket, and the path in it.

    Raises:
        DataError: There is nothing, or it cannot be fetched.
    """
    bucket, _, key = path.removeprefix(SCHEMES[0]).removeprefix(SCHEMES[1]).partition("/")
    with tempfile.TemporaryDirectory(prefix="flywheel-objects-") as folder:
        try:
            _copy(bucket, key, Path(folder))
        except (ClientError, BotoCoreError) as fault:
            raise DataError(
                f"Source {path} cannot be fetched: {first_line(fault)}. Check path, AWS_ENDPOINT_URL and keys."
            ) from fault
        yield Path(folder), key


def _copy(bucket: str, key: str, folder: Path) -> None:
    client = _client()
    start = key if not glob.has_magic(key) else key[: min(key.index(mark) for mark in "*?[" if mark in key)]
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=start)
    for name in (item["Key"] for page in pages for item in page.get("Contents", ())):
        inside = glob.has_magic(key) or name == key or name.startswith(f"{key.rstrip('/')}/") or not key
        if not inside or name.endswith("/") or ".." in PurePosixPath(name).parts:
            continue
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        # Not download_file: it fetches large objects in ranges.
        with target.open("wb") as file:
            for chunk in client.get_object(Bucket=bucket, Key=name)["Body"].iter_chunks(1 << 20):
                file.write(chunk)


def _client() -> Any:
    options = storage_options()
    return boto3.client(
        "s3",
        endpoint_url=options.get("aws_endpoint_url"),
        region_name=options.get("aws_region"),
        aws_access_key_id=options.get("aws_access_key_id"),
        aws_secret_access_key=options.get("aws_secret_access_key"),
        aws_session_token=options.get("aws_session_token"),
    )
