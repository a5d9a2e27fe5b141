"""Addresses and secrets of a stack: private files, and sentences when they are missing or damaged."""

import json
import os
import stat
from pathlib import Path

import pytest

from flywheel.connections import endpoints, login, secrets, write_private
from flywheel.errors import StackError, UsageError
from flywheel.settings import Settings

ADDRESSES = {
    "stack_id": "a",
    "mlflow_url": "http://127.0.0.1:1",
    "gateway_url": "http://127.0.0.1:2",
    "envoy_admin_url": "http://127.0.0.1:3",
    "s3_url": "http://127.0.0.1:4",
    "supervisor_socket": "/tmp/socket",
}
PASSWORDS = {"users": {"ada": "one", "grace": "two"}, "databases": {"optuna": "postgresql+psycopg2://x"}}


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    write_private(tmp_path / "run" / "endpoints.json", json.dumps(ADDRESSES))
    write_private(tmp_path / "run" / "secrets.json", json.dumps(PASSWORDS))
    return Settings(home=tmp_path)


def test_a_login_is_the_users_own_and_nobody_elses(home: Settings) -> None:
    environment = login(home, "ada")
    assert environment["MLFLOW_TRACKING_URI"] == endpoints(home).mlflow_url
    assert environment["MLFLOW_TRACKING_PASSWORD"] == secrets(home).users["ada"]
    assert environment["FLYWHEEL_OPTUNA_URL"] == "postgresql+psycopg2://x"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert "two" not in environment.values()


def test_an_unknown_user_is_wrong_use_and_the_known_ones_are_named(home: Settings) -> None:
    with pytest.raises(UsageError, match=r"User 'eve' is not known here. Choose one of: ada, grace"):
        login(home, "eve")


def test_without_a_stack_the_sentence_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="Start one with `flywheel up`"):
        endpoints(Settings(home=tmp_path))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"stack_id": 5}'])
def test_a_damaged_file_is_named(home: Settings, text: str) -> None:
    path = home.root / "run" / "endpoints.json"
    path.write_text(text)
    with pytest.raises(StackError, match=f"{path} is damaged"):
        endpoints(home)


def test_a_private_file_is_private_from_its_first_moment_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_private(tmp_path / "secret", "one")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_a_private_file_replaces_an_open_one(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
