"""The parts of a look: what each is called where it fails, and what is said while it is made; said here alone."""

from collections.abc import Callable
from enum import Enum

Begin = Callable[[str], None]  # is told what begins now, in words


class Part(Enum):
    """One part: its name, which alerts go by, and what is being done."""

    LAST = ("The last look", "looking whether anything has changed since the last look")
    LOG = ("The newest rows", "reading the prediction log")
    PACKAGES = ("The packages", "checking the packages of the versions that answered")
    BLOCKS = ("The blocks", "profiling what is new")
    PACKAGE = ("The package", "checking the package")
    DRIFT = ("Drift", "judging drift")
    COLUMNS = ("The columns", "counting columns without values")
    FIRST_WINDOWS = ("The first windows", "comparing the first live windows with training")
    INPUTS = ("The inputs", "replaying rows through the feature code")
    OUTCOMES = ("The outcomes", "measuring answers by their outcomes")
    LOSSES = ("The losses", "testing the daily losses for a change")
    ESTIMATE = ("The estimate", "estimating the newest window before its outcomes")
    RECALIBRATION = ("The recalibration", "learning by how much answers are off")
    WINDOWS = ("The windows", "looking which windows have anything new")
    WINDOW = ("Window", "judging the window, with Evidently's report:")
    DECISION = ("The decision about training", "deciding about training")
    RECORD = ("The record", "recording what was judged, and alerts")
    PAGES = ("The pages", "drawing the page in MLflow")
    TRAINING = ("The training", "training by `mlflow run`, which may take hours")

    def called(self, of: str = "") -> str:
        """Return its name; `of` says which one, such as "of version 3"."""
        return f"{self.value[0]} {of}".rstrip()

    def doing(self, of: str = "") -> str:
        """Return what is being done."""
        return f"{self.value[1]} {of}".rstrip()


def silent(_: str) -> None:
    """Tell nobody."""
