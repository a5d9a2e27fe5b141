"""Semantic versions: the kind of change decides, and the reason says which it was."""

from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flywheel.contract import Column, Contract, Output
from flywheel.usecase import UseCase, parse_usecase
from training.packaging.versioning import Made, Semver, next_version

DOCUMENT = """
name: tiny
data:
  source: {kind: csv, path: rows.csv}
  event_time: at
  label: {column: good}
"""
TYPES = ("long", "double", "string", "boolean", "datetime")


def usecase(**train: Any) -> UseCase:
    return parse_usecase({**yaml.safe_load(DOCUMENT), "train": train}, "here")


def contract(*columns: Column, **changes: Any) -> Contract:
    time = Column(name="at", type="datetime", nullable=False)
    return Contract(**{"columns": (time, *columns), "event_time": "at", "entity": None, **changes})


SIZE = Column(name="size", type="double", nullable=True)
COLOUR = Column(name="colour", type="string", nullable=True)
BEFORE = Made("2.3.4", usecase(), contract(SIZE, COLOUR), "sha256:a", "xgboost")


def test_the_first_version_is_1_0_0() -> None:
    assert next_version(BEFORE, None).version == "1.0.0"


@pytest.mark.parametrize(
    ("new", "version", "reason"),
    [
        (BEFORE, "2.3.5", "Trained again, made as before."),
        (replace(BEFORE, usecase=usecase(trials=40, seed=3)), "2.3.5", "Trained again"),
        (replace(BEFORE, usecase=usecase(until="2024-01-01T00:00:00")), "2.3.5", "Trained again"),
        (replace(BEFORE, family="logistic"), "2.4.0", "family logistic instead of xgboost"),
        (replace(BEFORE, features_digest="sha256:b"), "2.4.0", "the feature function is another"),
        (replace(BEFORE, usecase=usecase(window="90d")), "2.4.0", "the window of data changed"),
        (replace(BEFORE, usecase=usecase(validation="7d")), "2.4.0", "the length of validation or test changed"),
        (
            replace(BEFORE, contract=contract(SIZE, COLOUR, SIZE.model_copy(update={"name": "more"}))),
            "2.4.0",
            "allow more",
        ),
        (replace(BEFORE, contract=contract(SIZE)), "3.0.0", "input 'colour' is gone"),
        (
            replace(BEFORE, contract=contract(SIZE, COLOUR, Column(name="new", type="long", nullable=False))),
            "3.0.0",
            "input 'new' is new and required",
        ),
        (
            replace(BEFORE, contract=contract(SIZE.model_copy(update={"type": "long"}), COLOUR)),
            "3.0.0",
            "input 'size' was double and is long",
        ),
        (
            replace(BEFORE, contract=contract(SIZE.model_copy(update={"nullable": False}), COLOUR)),
            "3.0.0",
            "input 'size' may no longer be missing",
        ),
        (
            replace(BEFORE, contract=contract(SIZE.model_copy(update={"maximum": 9.0}), COLOUR)),
            "3.0.0",
            "input 'size' has tighter limits",
        ),
        (
            replace(BEFORE, contract=contract(SIZE.model_copy(update={"maximum": 9.0, "breach": "flag"}), COLOUR)),
            "2.4.0",
            "allow more",
        ),
        (
            replace(BEFORE, contract=contract(SIZE, COLOUR, outputs=(Output(name="prediction", type="double"),))),
            "3.0.0",
            "the outputs are others: prediction",
        ),
        (replace(BEFORE, contract=contract(SIZE, COLOUR, entity="key")), "3.0.0", "the entity was 'None'"),
    ],
)
def test_the_kind_of_change_decides(new: Made, version: str, reason: str) -> None:
    found = next_version(new, BEFORE)
    assert found.version == version
    assert reason in found.reason


columns = st.lists(
    st.builds(
        lambda name, kind, nullable: Column(name=name, type=kind, nullable=nullable),
        st.sampled_from("abcdef"),
        st.sampled_from(TYPES),
        st.booleans(),
    ),
    max_size=5,
    unique_by=lambda column: column.name,
)
versions = st.builds(Semver, st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
made = st.builds(
    lambda version, parts, features, family: Made(str(version), usecase(), contract(*parts), features, family),
    versions,
    columns,
    st.sampled_from(["sha256:a", "sha256:b"]),
    st.sampled_from(["xgboost", "logistic"]),
)


@given(made, made)
def test_a_version_always_rises_by_one_step_and_says_why(new: Made, before: Made) -> None:
    last, found = Semver.parse(before.version), next_version(new, before)
    following = Semver.parse(found.version)
    assert following in (
        Semver(last.major + 1, 0, 0),
        Semver(last.major, last.minor + 1, 0),
        Semver(last.major, last.minor, last.patch + 1),
    )
    assert following > last
    assert found.reason.endswith(".")


@given(made, made)
def test_whoever_kept_the_old_contract_can_go_on_unless_it_is_a_major_version(new: Made, before: Made) -> None:
    major = Semver.parse(next_version(new, before).version).major > Semver.parse(before.version).major
    old = {column.name: column for column in before.contract.columns}
    still = all(
        (
            column.name in old
            and old[column.name].type == column.type
            and (column.nullable or not old[column.name].nullable)
        )
        or (column.name not in old and column.nullable)
        for column in new.contract.columns
    )
    nothing_gone = old.keys() <= {column.name for column in new.contract.columns}
    assert major == (not (still and nothing_gone))


@given(versions)
def test_numbers_are_read_as_they_are_written(version: Semver) -> None:
    assert Semver.parse(str(version)) == version
    assert Semver.parse("") == Semver(1, 0, 0)
