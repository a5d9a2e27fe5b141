"""A service trains what the champion was made of, on newer data; anything else is refused before it is searched."""

import subprocess
import textwrap
import warnings
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # mlflow warns of its own type hints while it is imported
    import mlflow
    from mlflow.tracking import MlflowClient

from flywheel.errors import NotApprovedError
from flywheel.package import read_package
from flywheel.usecase import load_usecase
from registry.policy.origin import not_a_patch, read_origin
from tests.training.conftest import FEATURES, SPEC, tiny_rows
from training.approval import Code, check_code, differences
from training.job import Trained, train
from training.packaging.champion import Predecessor, find_predecessors

FIRST, NEXT = datetime(2024, 1, 25), datetime(2024, 2, 1)
BAIT = "no search was to be started"

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader")  # MLflow 3.17 on SQLAlchemy 2.1


class Project:
    """A repository with a use case whose first version is champion, and a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder / "project", folder / "project" / "usecase.yaml"
        self.folder.mkdir()
        (self.folder / ".gitignore").write_text("rows.csv\n")
        self.file.write_text(textwrap.dedent(SPEC))
        (self.folder / "features.py").write_text(textwrap.dedent(FEATURES))
        tiny_rows().write_csv(self.folder / "rows.csv")
        self.store, self.optuna = f"sqlite:///{folder}/mlflow.db", f"sqlite:///{folder}/optuna.db"
        self.git("init", "-q")
        self.commit("first")

    def git(self, *words: str) -> None:
        identity = ("-c", "user.name=ada", "-c", "user.email=ada@example.org")
        subprocess.run(["git", *identity, "-C", str(self.folder), *words], check=True, capture_output=True)

    def commit(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)

    def train(self, as_of: datetime, *, like: bool = True) -> Trained:
        case = load_usecase(self.file)
        return train(case, self.file, self.optuna, as_of=as_of, trials=1, like_champion=like)

    def versions(self) -> list[str]:
        return [found.version for found in MlflowClient().search_model_versions("name = 'tiny'")]

    def champion(self, folder: Path) -> Predecessor:
        found = find_predecessors("tiny", folder).champion
        assert found is not None
        return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    made = Project(tmp_path_factory.mktemp("approval"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made.folder)
        patch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
            patch.delenv(name, raising=False)
        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(made.store)
        mlflow.create_experiment("tiny", artifact_location=str(made.folder.parent / "artifacts"))
        made.train(FIRST, like=False)
        MlflowClient().set_registered_model_alias("tiny", "champion", "1")
        yield made
        mlflow.set_tracking_uri(before)


def commits(project: Project, patch: pytest.MonkeyPatch) -> None:
    project.commit("another")


def edits_features(project: Project, patch: pytest.MonkeyPatch) -> None:
    with (project.folder / "features.py").open("a") as file:
        file.write("# nobody has seen this\n")


def edits_the_use_case(project: Project, patch: pytest.MonkeyPatch) -> None:
    with project.file.open("a") as file:
        file.write("# nobody has seen this\n")


def upgrades_a_library(project: Project, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("training.approval.environment_lock", lambda requirements, python: "numpy==99\n")


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        (commits, "commit"),
        (edits_features, "features"),
        (edits_features, "uncommitted changes"),
        (edits_the_use_case, "use case"),
        (upgrades_a_library, "environment lock"),
    ],
)
def test_what_is_not_the_champions_is_refused_before_any_fit_and_registers_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch, changes: Callable[..., None], part: str, tmp_path: Path
) -> None:
    monkeypatch.setattr("training.job.search", lambda *_: pytest.fail(BAIT))
    monkeypatch.setattr("training.job.prepare", lambda *_: pytest.fail(BAIT))
    lineage = project.champion(tmp_path).package.lineage
    head, versions = lineage.git_commit, project.versions()
    changes(project, monkeypatch)
    try:
        with pytest.raises(NotApprovedError, match=rf"{part} [0-9a-f]{{12}} instead of ([0-9a-f]{{12}}|none)") as told:
            project.train(NEXT)
    finally:
        project.git("reset", "-q", "--hard", str(head))
    assert str(head)[:12] in str(told.value)
    assert project.versions() == versions
    newest = mlflow.search_runs(experiment_names=["tiny"], max_results=1, output_format="list")[0]
    assert (newest.info.status, newest.data.tags["refused"]) == ("FAILED", str(told.value))


def test_data_that_are_not_newer_are_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.job.search", lambda *_: pytest.fail(BAIT))
    with pytest.raises(NotApprovedError, match="data as of 2024-01-25 00:00 and not later"):
        project.train(FIRST)
    rows = (project.folder / "rows.csv").read_text()
    try:
        tiny_rows(24 * 23 + 1).write_csv(project.folder / "rows.csv")
        with pytest.raises(NotApprovedError, match="labelled rows until 2024-01-24 00:00 and none later"):
            project.train(NEXT)
    finally:
        (project.folder / "rows.csv").write_text(rows)


def test_without_a_repository_nothing_shows_what_was_approved(project: Project, tmp_path: Path) -> None:
    case = load_usecase(project.file)
    for name in ("usecase.yaml", "features.py"):
        (tmp_path / name).write_bytes((project.folder / name).read_bytes())
    with pytest.raises(NotApprovedError, match=r"commit nothing on record instead of [0-9a-f]{12}\. Let a person"):
        check_code(case, tmp_path / "usecase.yaml", NEXT, project.champion(tmp_path / "versions"))


def test_without_a_champion_a_person_trains_first(project: Project) -> None:
    with pytest.raises(NotApprovedError, match="'tiny' has no champion"):
        check_code(load_usecase(project.file), project.file, NEXT, None)


def test_the_same_on_newer_data_is_trained_and_passes_the_gate_until_the_champion_is_another(
    project: Project, tmp_path: Path
) -> None:
    """The gate looks again: what was the champion's code when it was trained need not be when it is to move."""
    made = project.train(NEXT)
    assert made.version == "2"
    folders = {}
    for version in ("1", "2"):
        folders[version] = Path(
            mlflow.artifacts.download_artifacts(f"models:/tiny/{version}", dst_path=str(tmp_path / version))
        )
    robots, champions = read_origin(folders["2"]), read_origin(folders["1"])
    assert not_a_patch("svc-training", robots, champions) == ""
    other = replace(champions, commit="0" * 40)
    assert not_a_patch("svc-training", robots, other) == "its commit is not the champion's"
    assert read_package(folders["2"]).lineage.parent == "1"


def test_a_person_trains_whatever_lies_there(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.job.prepare", lambda *_: (_ for _ in ()).throw(RuntimeError("reads the data")))
    edits_features(project, monkeypatch)
    try:
        with pytest.raises(RuntimeError, match="reads the data"):
            project.train(FIRST, like=False)
    finally:
        project.git("checkout", "-q", "--", ".")


CODE = Code(commit="c" * 40, diff="", features="sha256:f", usecase="sha256:u", lock="sha256:l")


@given(st.lists(st.sampled_from([field.name for field in fields(Code)]), unique=True))
def test_each_part_that_differs_is_named_and_no_other(changed: list[str]) -> None:
    names = {"commit": "commit", "diff": "uncommitted", "features": "features", "usecase": "use case"}
    found = differences(replace(CODE, **dict.fromkeys(changed, "sha256:other")), CODE)
    told = {one.split()[0] for one in found}
    assert told == {names.get(name, "environment").split()[0] for name in changed}


@pytest.mark.parametrize("unknown", ["commit", "features", "usecase", "lock"])
def test_what_is_not_on_record_on_either_side_is_no_agreement(unknown: str) -> None:
    nothing = replace(CODE, **{unknown: ""})
    assert len(differences(nothing, nothing)) == 1
    assert "nothing on record instead of nothing on record" in differences(nothing, nothing)[0]
