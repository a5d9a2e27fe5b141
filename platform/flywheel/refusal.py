"""How a training tells who started it through `mlflow run` that it was refused: MLflow makes 1 of every exit code."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from flywheel.errors import NotApprovedError

VARIABLE = "FLYWHEEL_REFUSAL"  # of the environment: names the file


@contextmanager
def refusal_told(environment: Mapping[str, str]) -> Iterator[None]:
    """Write the sentence of a refusal into the file that the environment names, if it names one.

    Raises:
        NotApprovedError: As it was raised within.
    """
    try:
        yield
    except NotApprovedError as fault:
        if file := environment.get(VARIABLE):
            Path(file).write_text(str(fault))
        raise


def take_refusal(file: Path) -> str:
    """Return what was written, and remove the file; '' where nothing was refused."""
    try:
        return file.read_text()
    except FileNotFoundError:
        return ""
    finally:
        file.unlink(missing_ok=True)
