"""A package folder as deploy keeps it, with as much in it as monitoring reads."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from flywheel.contract import Contract
from flywheel.digest import folder_digest
from flywheel.package import INSIDE, Lineage
from flywheel.profile import ColumnProfile, Profile, Reference
from flywheel.signing import bundle_beside
from flywheel.stack.signing_keys import PRIVATE_KEY
from registry.signing.signer import configured_signer, sign_folder
from tests.monitoring.flights_log import CONTRACT, NAME

MOMENT = datetime(2013, 3, 31)
USE_CASE = {
    "name": NAME,
    "data": {
        "source": {"kind": "python", "path": "source.py"},
        "entity": "flight_key",
        "event_time": "scheduled",
        "label": {"column": "late", "available_after": "1d"},
    },
    "monitor": {"min_outcomes": 100, "retrain": {"margin": 0.02, "cooldown": "30d", "max_total": 1}},
}


def write_package(home: Path, reference: Reference) -> str:
    """Write version 1 below HOME/packages and return its digest."""
    folder = write_model(home / "packages" / NAME / "1-new", reference, USE_CASE)
    digest = folder_digest(folder)
    sign(home, folder.rename(folder.with_name(f"1-{digest.removeprefix('sha256:')[:12]}")))
    return digest


def sign(home: Path, folder: Path) -> None:
    """Keep a signature beside a package, as deploy does, where the home has a key."""
    key = home / PRIVATE_KEY
    if key.exists() and (signer := configured_signer({"FLYWHEEL_SIGNING_KEY": str(key)})) is not None:
        bundle_beside(folder).write_text(sign_folder(folder, signer))


def write_model(folder: Path, reference: Reference, use_case: Mapping[str, Any], contract: Contract = CONTRACT) -> Path:
    """Write a model folder of a use case, without anything that could score."""
    inside = folder / INSIDE
    inside.mkdir(parents=True)
    (folder / "MLmodel").write_text("flavors: {}\n")
    (inside / "usecase.yaml").write_text(yaml.safe_dump(dict(use_case)))
    (inside / "contract.json").write_text(contract.model_dump_json())
    (inside / "profile.json").write_text(_profile(reference).model_dump_json())
    (inside / "lineage.json").write_text(_lineage().model_dump_json())
    _sample().write_parquet(inside / "reference.parquet")
    return folder


def _profile(reference: Reference) -> Profile:
    prediction = ColumnProfile(name="prediction", type="double", missing_share=0.0, quantiles=(0.0, 1.0))
    return Profile(
        rows=reference.rows,
        start=MOMENT,
        end=MOMENT,
        label_share=0.3,
        reference=reference,
        columns=(),
        prediction=prediction,
    )


def _lineage() -> Lineage:
    return Lineage(
        usecase=NAME,
        as_of=MOMENT,
        trained_at=MOMENT,
        run_id="r",
        study="s",
        trials=1,
        seed=7,
        family="logistic",
        params={},
        data_digest="sha256:0",
        data_rows=1000,
        usecase_digest="sha256:0",
        source_digest="sha256:0",
        features_digest="sha256:0",
        git_commit=None,
        git_dirty=None,
        python="3.11",
        packages={},
    )


def _sample() -> pl.DataFrame:
    random = np.random.default_rng(7)
    label = (random.uniform(size=300) < 0.3).astype(int)
    distance, prediction = random.normal(500, 100, 300), random.uniform(0.2, 0.4, 300)
    frame = {"scheduled": [MOMENT] * 300, "distance": distance, "prediction": prediction, "label": label}
    return pl.DataFrame(frame, schema_overrides={"label": pl.Int8})
