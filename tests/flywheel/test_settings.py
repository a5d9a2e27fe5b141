"""Settings: defaults that work, the environment's say, and one sentence for what is wrong."""

from pathlib import Path

import pytest

from flywheel.errors import UsageError
from flywheel.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HOME", "DATABASE_URL", "MLFLOW_PORT", "GATEWAY_PORT", "LOG_LEVEL", "DEBUG"):
        monkeypatch.delenv(f"FLYWHEEL_{name}", raising=False)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_home_is_a_folder_here_by_default(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.root == tmp_path / ".flywheel"
    assert settings.database_url is None


def test_the_environment_names_another_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYWHEEL_HOME", "~/elsewhere")
    assert load_settings().root == Path.home() / "elsewhere"


def test_a_database_may_be_named_with_or_without_our_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://one")
    assert load_settings().database_url == "postgresql://one"
    monkeypatch.setenv("FLYWHEEL_DATABASE_URL", "postgresql://two")
    assert load_settings().database_url == "postgresql://two"


@pytest.mark.parametrize(("name", "value"), [("MLFLOW_PORT", "many"), ("LOG_LEVEL", "loud"), ("DEBUG", "perhaps")])
def test_a_wrong_value_is_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"FLYWHEEL_{name}", value)
    with pytest.raises(UsageError, match=rf"^FLYWHEEL_{name} is wrong: .*Unset it or correct it\.$") as raised:
        load_settings()
    assert raised.value.exit_code == 2


def test_settings_do_not_change_once_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().debug = True  # type: ignore[misc]
