"""The ModelPackage: an MLflow model folder and, in it, all that deploy and monitoring need to know of a version.

    MLmodel …                        what MLflow needs to load it
    artifacts/package/usecase.yaml   the use case as trained
                      features.py    the feature function
                      estimator.skops
                      contract.json  what a request must look like
                      profile.json   reference profile; reference.parquet: a sample of the reference rows
                      lineage.json   where it came from
                      card.md        the same for people

Reading it imports neither mlflow nor pandas nor polars: the agent does so at start.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from flywheel.contract import Contract, read_contract
from flywheel.documents import read_document
from flywheel.errors import IntegrityError, SpecError
from flywheel.profile import Profile, read_profile
from flywheel.usecase import UseCase, load_usecase

INSIDE = Path("artifacts/package")


class Lineage(BaseModel):
    """Where a version came from: enough to train it again. Times are naive UTC."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    usecase: str
    as_of: datetime
    trained_at: datetime
    run_id: str
    study: str
    trials: int
    seed: int
    family: str
    params: dict[str, float | int]
    data_digest: str
    data_rows: int
    usecase_digest: str
    source_digest: str
    features_digest: str
    git_commit: str | None
    git_dirty: bool | None
    python: str
    packages: dict[str, str]


@dataclass(frozen=True)
class ModelPackage:
    """One version's folder and what its files say. The folder's digest is the caller's to check."""

    folder: Path
    usecase: UseCase
    contract: Contract
    profile: Profile
    lineage: Lineage

    @property
    def reference(self) -> Path:
        """The sample of reference rows (Parquet): inputs, `prediction` and `label`."""
        return self.folder / INSIDE / "reference.parquet"


def read_package(folder: Path) -> ModelPackage:
    """Read a model folder.

    Raises:
        IntegrityError: It is no package of ours, or one of its files is missing or damaged.
    """
    inside = folder / INSIDE
    if not (folder / "MLmodel").is_file() or not inside.is_dir():
        raise IntegrityError(f"{folder} holds no model package. Register a version that `mlflow run` trained.")
    try:
        usecase = load_usecase(inside / "usecase.yaml")
    except SpecError as fault:
        raise IntegrityError(f"Package {folder} is damaged: {fault}") from fault
    return ModelPackage(
        folder=folder,
        usecase=usecase,
        contract=read_contract(inside / "contract.json"),
        profile=read_profile(inside / "profile.json"),
        lineage=read_document(inside / "lineage.json", Lineage),
    )
