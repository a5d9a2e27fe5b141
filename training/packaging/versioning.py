"""Semantic versions: what a new version means to those who use the one before.

    major   it asks for other inputs or answers otherwise: callers must look
    minor   it was made otherwise: other features, family, or window of data
    patch   it was trained again on other data

The rule is pure; `Made` is all that it reads of a version.
"""

import re
from dataclasses import dataclass
from typing import Self

from flywheel.compatibility import input_breaks, inputs_of
from flywheel.contract import Contract
from flywheel.package import ModelPackage
from flywheel.usecase import UseCase

FIRST = "1.0.0"


@dataclass(frozen=True, order=True)
class Semver:
    """Three numbers."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `1.4.2`; what is none counts as 1.0.0, the version of packages that have no number."""
        match = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", text)
        return cls(*map(int, match.groups())) if match else cls(1, 0, 0)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


@dataclass(frozen=True)
class Made:
    """What a version promises and how it was made.

    `features_digest` and `family` come from its lineage.
    """

    version: str
    usecase: UseCase
    contract: Contract
    features_digest: str
    family: str


@dataclass(frozen=True)
class NextVersion:
    """The number of a new version, and why."""

    version: str
    reason: str


def made_from(package: ModelPackage) -> Made:
    """Read a version's package."""
    lineage = package.lineage
    return Made(lineage.version or FIRST, package.usecase, package.contract, lineage.features_digest, lineage.family)


def next_version(new: Made, before: Made | None) -> NextVersion:
    """Say which version `new` is after `before`, the newest with a package; `new.version` is not read."""
    if before is None:
        return NextVersion(FIRST, "The first version.")
    last = Semver.parse(before.version)
    if breaks := incompatibilities(new, before):
        return NextVersion(str(Semver(last.major + 1, 0, 0)), f"Callers must look: {'; '.join(breaks)}.")
    if changes := differences(new, before):
        return NextVersion(str(Semver(last.major, last.minor + 1, 0)), f"Made otherwise: {'; '.join(changes)}.")
    return NextVersion(str(Semver(last.major, last.minor, last.patch + 1)), "Trained again, made as before.")


def incompatibilities(new: Made, before: Made) -> list[str]:
    """Return what a caller of `before` would meet: each a clause naming the column."""
    found = input_breaks(inputs_of(new.contract.columns), inputs_of(before.contract.columns))
    for key in ("entity", "subject", "event_time"):
        if getattr(new.contract, key) != getattr(before.contract, key):
            found.append(f"the {key.replace('_', ' ')} was '{getattr(before.contract, key)}'")
    if set(new.contract.outputs) != set(before.contract.outputs):
        found.append("the outputs are others: " + ", ".join(output.name for output in new.contract.outputs))
    return found


def differences(new: Made, before: Made) -> list[str]:
    """Return what was made otherwise without a caller noticing: each a clause."""
    found = []
    if new.contract.columns != before.contract.columns:
        found.append("the inputs allow more")
    if new.features_digest != before.features_digest:
        found.append("the feature function is another")
    if new.family != before.family:
        found.append(f"family {new.family} instead of {before.family}")
    for what, now, then in _choices(new.usecase, before.usecase):
        if now != then:
            found.append(f"{what} changed")
    return found


def _choices(new: UseCase, before: UseCase) -> list[tuple[str, object, object]]:
    """Pair up what the use cases say of data and label; `until`, seeds and budgets change no meaning."""
    return [
        ("the label", new.data.label, before.data.label),
        ("the joined tables", new.data.joins, before.data.joins),
        ("the window of data", new.train.window, before.train.window),
        ("the length of validation or test", _lengths(new), _lengths(before)),
        ("calibration or costs", _decision(new), _decision(before)),
    ]


def _lengths(usecase: UseCase) -> tuple[object, object, int]:
    return usecase.train.validation, usecase.train.test, usecase.train.folds


def _decision(usecase: UseCase) -> tuple[object, object]:
    return usecase.evaluate.calibration, usecase.evaluate.costs
