"""A gate: one question about a candidate that is answered by measuring, and what every gate is given for it.

Built-in gates are the modules beside this one; others join by an entry point of group `flywheel.gates` that names a
class without arguments or an instance. Gates run in a process of their own without secrets. The candidate's code does
not even run there: gates ask the candidate's server, which is another process.
"""

import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import polars as pl

from flywheel.compatibility import Inputs
from flywheel.errors import FlywheelError
from flywheel.limits import Limits
from flywheel.package import INSIDE, ModelPackage, read_package
from registry.gates.asking import Example, read_example
from registry.gates.evidence import Measurement, Outcome
from registry.gates.sample import Sample, read_sample
from registry.gates.server import ModelServer
from registry.gates.signatures import read_inputs


class UnmeasurableError(FlywheelError):
    """A gate cannot say anything about this candidate; the message says why, for a reviewer."""


@dataclass(frozen=True)
class Candidate:
    """One version's bytes, their digest checked, and what they are compared with.

    Attributes:
        folder: The downloaded MLflow model. Gates leave it as it is.
        work: An empty folder in which gates may write.
        limits: In force: the policy's, tightened by the use case's.
        champion: The champion's folder likewise; None without one, or when the candidate is the champion.
        champion_fault: Why a champion that exists is not here; '' otherwise.
        python: The interpreter that runs the candidate's code.
        server: Asks the candidate's own `mlflow models serve`, which starts with the first question.
    """

    folder: Path
    work: Path
    limits: Limits
    champion: Path | None = None
    champion_fault: str = ""
    python: str = sys.executable
    server: ModelServer = field(kw_only=True)

    @cached_property
    def package(self) -> ModelPackage | None:
        """What the folder says as a package of ours; None for a plain MLflow model.

        Raises:
            IntegrityError: It is a package, and damaged.
        """
        return read_package(self.folder) if (self.folder / INSIDE).is_dir() else None

    @cached_property
    def sample(self) -> Sample | None:
        """The labelled rows that came with a package; None for a plain MLflow model."""
        return read_sample(self.package) if self.package else None

    @cached_property
    def example(self) -> Example | None:
        """The input example as MLflow's server takes it; None without one."""
        return read_example(self.folder)

    @cached_property
    def inputs(self) -> tuple[Inputs, ...]:
        """The named inputs, by the contract or else by the signature; none for tensors."""
        return read_inputs(self.folder, self.package)

    @cached_property
    def rows(self) -> pl.DataFrame | None:
        """Valid inputs to ask with: the sample's, or else the example's; None where there are none with names."""
        if self.sample is not None:
            return self.sample.inputs
        return self.example.rows if self.example else None


@runtime_checkable
class Gate(Protocol):
    """One question. A gate is used by one thread; it neither changes the candidate's folder nor needs the network.

    Attributes:
        name: What policies and evidence call it: lower-case words joined by hyphens.
        title: What a reviewer reads above it.
    """

    name: str
    title: str

    def measure(self, candidate: Candidate, limits: Limits) -> Measurement:
        """Measure, and hold the number against its limit.

        Whatever it raises counts as could not run, with its message; UnmeasurableError's is a sentence for reviewers.
        """
        ...


def judged(passed: bool, sentence: str, **rest: Any) -> Measurement:
    """Return a measurement that passes or fails; the other arguments are Measurement's."""
    return Measurement(Outcome.PASS if passed else Outcome.FAIL, sentence, **rest)
