"""Whether a version's stored files are still those that were measured, by one look at the store's own listing.

A digest needs every byte and takes as long as a download. An object store lists size, entity tag and time of each
object instead; while these stay, the digest that was taken with them stands. It is a shortcut for the server's own
transitions only: whoever loads a version takes the digest of the bytes.
"""

import hashlib
import os

from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # published without types
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

from flywheel.errors import IntegrityError
from registry.doors.artifacts import ARTIFACTS_DESTINATION, stored_path


def fingerprint(location: str) -> str | None:
    """Return SHA-256 over the listing of a version's folder; None where the store lists no entity tags, or is down."""
    try:
        path = stored_path(location)
        repository = get_artifact_repository(os.environ[ARTIFACTS_DESTINATION])
        if not isinstance(repository, S3ArtifactRepository):
            return None
        return _listed(repository, path)
    except (IntegrityError, MlflowException, BotoCoreError, ClientError, OSError):
        return None


def _listed(repository: S3ArtifactRepository, path: str) -> str:
    bucket, root = repository.parse_s3_compliant_uri(repository.artifact_uri)
    prefix = f"{root}/{path}/" if root else f"{path}/"
    pages = repository._get_s3_client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    found = [
        f"{item['Key']}\0{item['Size']}\0{item['ETag']}\0{item['LastModified'].isoformat()}"
        for page in pages
        for item in page.get("Contents", ())
    ]
    return hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()
