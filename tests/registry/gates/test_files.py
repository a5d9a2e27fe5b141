"""Gates that look at the folder alone: size, card, licences."""

from email.message import Message
from importlib.metadata import PackageMetadata
from pathlib import Path
from typing import cast

import pytest

from flywheel.limits import LICENCES
from flywheel.package import INSIDE
from registry.gates.card import Card
from registry.gates.evidence import Outcome
from registry.gates.gate import Gate
from registry.gates.licences import Licences, licence_of, permits, spdx
from registry.gates.size import Size
from tests.registry.gates.folders import Bench, copy, spoiled


def test_a_package_below_the_limit_passes_with_its_size_in_megabytes(bench: Bench, package: Path) -> None:
    found = bench(Size(), package)
    total = sum(path.stat().st_size for path in package.rglob("*") if path.is_file())
    assert found.outcome == Outcome.PASS
    assert found.value == pytest.approx(total / 1e6, abs=1e-3)
    assert (found.limit, found.unit) == (500.0, "MB")


def test_a_huge_file_fails_and_is_named(bench: Bench, package: Path, tmp_path: Path) -> None:
    folder = copy(package, tmp_path)
    with (folder / "weights.bin").open("wb") as file:
        file.truncate(12_000_000)
    found = bench(Size(), folder, size_mb=10)
    assert found.outcome == Outcome.FAIL
    assert "weights.bin" in found.sentence


def test_without_a_limit_any_size_passes(bench: Bench, package: Path) -> None:
    assert bench(Size(), package, size_mb=None).outcome == Outcome.PASS


def test_a_card_with_all_its_sections_passes(bench: Bench, package: Path) -> None:
    assert bench(Card(), package).outcome == Outcome.PASS


def test_a_missing_card_fails_and_says_which_files(bench: Bench, package: Path, plain: Path, tmp_path: Path) -> None:
    found = bench(Card(), plain)
    assert found.outcome == Outcome.FAIL
    assert "there is no card.md" in found.sentence
    folder = copy(package, tmp_path)
    (folder / INSIDE / "card.html").unlink()
    assert "there is no card.html" in bench(Card(), folder).sentence


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("## Limits", "## Borders", "section 'Limits' is missing"),
        ("## How good it is\n", "## How good it is\n\nNothing was measured.\n\n## Figures\n", "says nothing"),
    ],
)
def test_a_section_that_is_gone_or_empty_fails(
    bench: Bench, package: Path, tmp_path: Path, old: str, new: str, said: str
) -> None:
    folder = spoiled(package, tmp_path, card_md=lambda text: text.replace(old, new))
    found = bench(Card(), folder)
    assert found.outcome == Outcome.FAIL
    assert said in found.sentence


def test_a_page_without_text_is_no_card(bench: Bench, package: Path, tmp_path: Path) -> None:
    folder = spoiled(package, tmp_path, card_html=lambda text: "<html><style>h1 {}</style></html>")
    assert "card.html is no page" in bench(Card(), folder).sentence


@pytest.mark.parametrize("gate", [Card(), Size()])
def test_files_that_cannot_be_read_could_not_run(
    bench: Bench, package: Path, monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    def refuse(*args: object, **named: object) -> None:
        raise PermissionError("the disk is gone")

    monkeypatch.setattr(Path, "read_text", refuse)
    monkeypatch.setattr(Path, "rglob", refuse)
    found = bench(gate, package)
    assert found.outcome == Outcome.COULD_NOT_RUN
    assert "the disk is gone" in found.sentence


def test_known_permissive_licences_pass(bench: Bench, package: Path, plain: Path) -> None:
    for folder in (package, plain):
        found = bench(Licences(), folder)
        assert found.outcome == Outcome.PASS, found.sentence


def test_a_licence_that_is_not_listed_fails_and_names_the_library(bench: Bench, package: Path) -> None:
    found = bench(Licences(), package, licences=("MIT",))
    assert found.outcome == Outcome.FAIL
    assert "mlflow (Apache-2.0)" in found.sentence


def test_a_library_that_nobody_knows_is_named(bench: Bench, package: Path, tmp_path: Path) -> None:
    folder = spoiled(package, tmp_path, requirements_lock=lambda text: text + "no-such-library==1.0\n")
    found = bench(Licences(), folder)
    assert found.outcome == Outcome.FAIL
    assert "no-such-library" in found.sentence


def test_a_model_that_names_no_library_could_not_run(bench: Bench, plain: Path, tmp_path: Path) -> None:
    folder = copy(plain, tmp_path)
    (folder / "requirements.txt").unlink()
    assert bench(Licences(), folder).outcome == Outcome.COULD_NOT_RUN


@pytest.mark.parametrize("library", ["mlflow", "numpy", "pandas", "polars", "scipy", "onnxruntime", "xgboost", "skops"])
def test_the_licences_of_what_models_are_made_of_are_known_and_allowed(library: str) -> None:
    licence = licence_of(library)
    assert licence is not None
    assert permits(licence, frozenset(LICENCES)), licence


def told(**fields: str) -> PackageMetadata:
    message = Message()
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    return cast(PackageMetadata, message)


@pytest.mark.parametrize(
    ("metadata", "licence"),
    [
        (told(License_Expression="MIT OR Apache-2.0"), "MIT OR Apache-2.0"),
        (told(Classifier="License :: OSI Approved :: BSD License"), "BSD-3-Clause"),
        (told(License="Apache License 2.0"), "Apache-2.0"),
        (told(License="The MIT License (MIT)"), "MIT"),
        (told(License="GPLv3"), "GPL-3.0-only"),
        (told(License="GNU Affero General Public License"), "AGPL-3.0-only"),
        (
            told(
                License="Copyright 2024 X. Permission is hereby granted, free of charge, to any person obtaining a copy"
            ),
            "MIT",
        ),
        (told(License="Proprietary. Ask us."), None),
        (told(), None),
    ],
)
def test_metadata_is_read_as_spdx(metadata: PackageMetadata, licence: str | None) -> None:
    assert spdx(metadata) == licence


@pytest.mark.parametrize(
    ("expression", "passes"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("(MIT OR GPL-2.0-only) AND Apache-2.0", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("MIT Apache-2.0", False),
        ("", False),
    ],
)
def test_of_an_expression_all_of_and_and_one_of_or_must_be_allowed(expression: str, passes: bool) -> None:
    assert permits(expression, frozenset({"MIT", "Apache-2.0"})) is passes
