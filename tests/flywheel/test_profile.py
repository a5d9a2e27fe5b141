"""profile.json: written by training, read by monitoring."""

from datetime import datetime
from pathlib import Path

import pytest

from flywheel.errors import IntegrityError
from flywheel.profile import ColumnProfile, Profile, Reference, read_profile

PROFILE = Profile(
    rows=100,
    start=datetime(2024, 1, 1),
    end=datetime(2024, 1, 2),
    label_share=0.2,
    reference=Reference(loss=0.5, standard_error=0.01, rows=100, roc_auc=0.7),
    columns=(ColumnProfile(name="x", type="double", missing_share=0.1, quantiles=(0.0, 1.0)),),
    prediction=ColumnProfile(name="prediction", type="double", missing_share=0.0, quantiles=(0.1, 0.9)),
)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text(PROFILE.model_dump_json())
    assert read_profile(path) == PROFILE


def test_a_reference_from_before_there_were_other_losses_is_one_of_log_loss() -> None:
    old = Reference.model_validate_json('{"log_loss": 0.5, "standard_error": 0.01, "rows": 100, "roc_auc": 0.7}')
    assert old == PROFILE.reference
    assert old.loss_name == "log_loss"


def test_a_missing_or_damaged_profile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="cannot be read"):
        read_profile(tmp_path / "profile.json")
    path = tmp_path / "profile.json"
    path.write_text('{"rows": 3}')
    with pytest.raises(IntegrityError, match="is damaged"):
        read_profile(path)
