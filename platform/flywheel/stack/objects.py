"""The S3 endpoint for artifacts: rclone over a folder of the home, with one generated pair of keys.

It is for MLflow's artifacts only: it ignores conditional writes, so no Delta table may live on it.
"""

from flywheel.settings import Settings
from flywheel.stack.ports import Ports
from flywheel.stack.probes import http_status
from flywheel.stack.supervisor import Program

NAME = "objects"
BUCKET = "artifacts"
REFUSALS = (400, 403)  # rclone calls a missing signature an unsupported algorithm: 400


def make_bucket(settings: Settings) -> None:
    """Create the bucket: for rclone a folder is one."""
    (settings.root / "objects" / BUCKET).mkdir(parents=True, exist_ok=True)


def program(settings: Settings, ports: Ports, key: str, secret: str) -> Program:
    """Return the program that serves the objects on loopback."""
    command = ["rclone", "serve", "s3", str(settings.root / "objects"), "--addr", f"127.0.0.1:{ports.s3}"]
    environment = {
        "RCLONE_AUTH_KEY": f'"{key},{secret}"',  # the inner quotes keep rclone from splitting at the comma
        "RCLONE_CONFIG": "/dev/null",  # nobody's own configuration of rclone applies
    }
    return Program(NAME, command, environment)


def client_environment(ports: Ports, key: str, secret: str) -> dict[str, str]:
    """Return what boto3 needs to speak to it."""
    return {
        "MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{ports.s3}",
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def answers(ports: Ports) -> str | None:
    """Return why the endpoint is not healthy, or None: it must answer, and refuse whoever has no keys."""
    status = http_status(f"http://127.0.0.1:{ports.s3}/{BUCKET}")
    if isinstance(status, str):
        return status
    return None if status in REFUSALS else f"it answered {status} to a request without keys, instead of refusing"
