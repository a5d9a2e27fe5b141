"""Families are found by name, by entry point and in files; what cannot be meant is refused with the choices."""

import shutil
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from flywheel.errors import DataError, SpecError
from training.families import catalogue
from training.families.catalogue import choose_families

HERE = Path(__file__).parent


def names(*entries: str, task: str = "binary", home: Path = HERE) -> list[str]:
    return [family.name for family in choose_families(entries or None, task, home)]  # type: ignore[arg-type]


def test_without_a_choice_the_task_decides() -> None:
    assert names() == ["xgboost", "hist_gradient_boosting", "logistic"]
    assert names(task="multiclass") == ["xgboost", "hist_gradient_boosting", "logistic"]
    assert names(task="regression") == ["xgboost", "hist_gradient_boosting", "linear"]


def test_names_and_files_keep_their_order() -> None:
    assert names("logistic", "glm_family.py", "xgboost", "extra_trees_family.py", "logistic") == [
        "logistic",
        "glm",
        "xgboost",
        "extra_trees",
    ]


@pytest.mark.parametrize(
    ("entries", "task", "sentence"),
    [
        (
            ("forest",),
            "binary",
            "'forest' is unknown. Choose from: xgboost, hist_gradient_boosting, random_f",
        ),
        (("linear",), "binary", r"'linear' cannot do task binary \(it does: regression\). Choose from: xgboost"),
        (("glm_family.py",), "multiclass", r"'glm' cannot do task multiclass \(it does: binary, regression\)"),
    ],
)
def test_a_wrong_choice_is_refused_with_the_right_ones(entries: tuple[str, ...], task: str, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        names(*entries, task=task)


def test_an_empty_choice_is_refused() -> None:
    with pytest.raises(SpecError, match="no family is named"):
        choose_families((), "binary", HERE)


@pytest.mark.parametrize(
    ("content", "fault", "sentence"),
    [
        ("x = 1", SpecError, "defines no FAMILY"),
        ("FAMILY = object()", SpecError, "has no name, tasks, flavor, defaults, suggest, fit"),
        ("import gone_for_good", DataError, "family file .* cannot be imported: ModuleNotFoundError"),
    ],
)
def test_a_file_without_a_family_is_named(tmp_path: Path, content: str, fault: type[Exception], sentence: str) -> None:
    (tmp_path / "mine.py").write_text(content)
    with pytest.raises(fault, match=sentence):
        names("mine.py", home=tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        names("gone.py", home=tmp_path)


def test_two_families_of_one_name_are_refused(tmp_path: Path) -> None:
    text = (HERE / "glm_family.py").read_text()
    (tmp_path / "one.py").write_text(text)
    (tmp_path / "two.py").write_text(text + "\n")
    with pytest.raises(SpecError, match=r"two families are called 'glm'. Rename the one in two\.py"):
        names("one.py", "two.py", home=tmp_path)


def test_a_name_that_would_break_parameter_names_is_refused(tmp_path: Path) -> None:
    shutil.copy(HERE / "glm_family.py", tmp_path / "mine.py")
    path = tmp_path / "mine.py"
    path.write_text(path.read_text().replace('name = "glm"', 'name = "my.glm"'))
    with pytest.raises(SpecError, match=r"is called 'my\.glm'\. Use lower-case letters"):
        names("mine.py", home=tmp_path)


def test_entry_points_are_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("forest", "tests.training.families.extra_trees_family:ExtraTrees", catalogue.GROUP),
        EntryPoint("broken", "gone_for_good:Family", catalogue.GROUP),
    ]

    def entry_points(*, group: str, name: str | None = None) -> list[EntryPoint]:
        assert group == "flywheel.families"
        return [point for point in points if name in (None, point.name)]

    monkeypatch.setattr(catalogue, "entry_points", entry_points)
    assert names("forest", "logistic") == ["extra_trees", "logistic"]
    with pytest.raises(SpecError, match=r"'broken' .* cannot be loaded: ModuleNotFoundError"):
        names("broken")
    with pytest.raises(SpecError, match=r"Choose from: .*logistic, broken, forest"):
        names("unknown")
