"""Object stores: what Polars and Delta need to speak to any S3 API, taken from the environment."""

import os

from flywheel.errors import DataError

SCHEMES = ("s3://", "s3a://")


def in_cloud(path: str) -> bool:
    """Say whether a path is an address of an object store.

    Raises:
        DataError: It is an address of another kind.
    """
    if "://" not in path:
        return False
    if not path.startswith(SCHEMES):
        raise DataError(f"Source {path} is at an address that cannot be read. Write s3://bucket/path or a local path.")
    return True


def storage_options() -> dict[str, str]:
    """Read AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and AWS_REGION.

    What is not set is left to the reader's own search (profile files, instance roles).
    """
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    options = {name.lower(): value for name in names if (value := os.environ.get(name))}
    if region := os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
        options["aws_region"] = region
    if endpoint := os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
        options["aws_endpoint_url"] = endpoint
        options.setdefault("aws_region", "us-east-1")  # signatures need one; a server of one's own takes any
        if endpoint.startswith("http://"):
            options["aws_allow_http"] = "true"
    return options
