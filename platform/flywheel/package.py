"""The ModelPackage: an MLflow model folder and, in it, all that deploy and monitoring need to know of a version.

    MLmodel …                        what MLflow needs to load it
    artifacts/package/usecase.yaml   the use case as trained
                      features.py    the feature function
                      contract.json  what a request must look like, and what is answered
                      model.json     task, classes and flavour of model/, the stored model
                      encoding.json  the features' order and categories; calibration.json, decision.json: what follows
                      onnx.json      parity of model.onnx with model/, measured; or why there is no ONNX form
                      profile.json   reference profile (test rows); reference.parquet: a sample of those rows
                      answers.parquet     what the packaged model, fitted again on all rows, answers to that sample
                      data_profile.json   profile of all training rows' inputs
                      blocks              the same rows block by block, with labels; answers of models new to the row
                      lineage.json   where it came from; requirements.lock: every library behind a prediction
                      evaluation.json, checks.html, card.md, card.html   how good it is, for people and machines

Reading it imports neither mlflow nor pandas nor polars: the agent does so at start.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from flywheel.contract import Contract, read_contract
from flywheel.documents import read_document
from flywheel.errors import IntegrityError, SpecError
from flywheel.profile import Profile, read_profile
from flywheel.usecase import UseCase, load_usecase

INSIDE = Path("artifacts/package")
BLOCKS = "blocks"


class Span(BaseModel):
    """Rows of one part of the split, in order of time: how many, from when to when (naive UTC, both included)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    start: datetime
    end: datetime
    digest: str = ""


class Lineage(BaseModel):
    """Where a version came from: enough to train it again. Times are naive UTC.

    What has a default is missing in packages of earlier releases.

    Attributes:
        version: The semantic version, such as 1.4.2, and `version_reason` why it is that.
        parent: The registry's number of the version that was champion when this one was trained.
        seeds: With which the best candidates were fitted again.
        threads: Of the last fit.
        usecase_path: The use case's file, from the repository's root or absolute; its source lies beside it.
        source: Kind, place, query, version and joins of the raw rows; no password.
        columns: A digest of each raw column, in the frame's order.
        parts: train, validation and test, by these names.
        cut: Labels known later than this were not used.
        diff_digest: Of the uncommitted changes; the run keeps them as `dirty.diff`.
        lock_digest: Of requirements.lock.
        model_digest: Of the stored model's content, by which `flywheel reproduce` knows it again.
        contributors: Addresses of who wrote the commits since `contributors_since`, co-authors included.
        contributors_since: The commit of `parent`; None: all commits behind this one.
        contributors_unknown: Why not all of them are known, such as a shallow clone; '' when they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    usecase: str
    as_of: datetime
    trained_at: datetime
    run_id: str
    study: str
    trials: int
    seed: int
    family: str
    params: dict[str, float | int | str | bool]
    data_digest: str
    data_rows: int
    usecase_digest: str
    source_digest: str
    features_digest: str
    git_commit: str | None
    git_dirty: bool | None
    python: str
    packages: dict[str, str]
    version: str = ""
    version_reason: str = ""
    parent: str | None = None
    flavor: str = "sklearn"
    metric: str = ""
    seeds: tuple[int, ...] = ()
    threads: int = 1
    usecase_path: str = ""
    source: dict[str, Any] = {}
    columns: dict[str, str] = {}
    parts: dict[str, Span] = {}
    cut: datetime | None = None
    diff_digest: str = ""
    lock_digest: str = ""
    contract_digest: str = ""
    model_digest: str = ""
    contributors: tuple[str, ...] = ()
    contributors_since: str | None = None
    contributors_unknown: str = "the package was made by an earlier release, which did not record it"


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

    @property
    def data_profile(self) -> Path:
        """The profile of all rows it was trained on (JSON); packages of earlier releases have none."""
        return self.folder / INSIDE / "data_profile.json"

    @property
    def blocks(self) -> Path | None:
        """The training rows as a series of blocks (see `flywheel.profiling`); None in packages of earlier releases."""
        path = self.folder / INSIDE / BLOCKS
        return path if path.is_file() else None


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
