"""A version asked again: logged raw inputs through the package's own feature function and graph.

The steps are the agent's (deploy/agent/backends/onnx.py), written anew here because a monitor that shared the agent's
code would share its faults. A package without a graph has its features replayed, and no outputs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from flywheel.column_types import POLARS
from flywheel.errors import DataError, IntegrityError
from flywheel.modules import load_module
from flywheel.onnx_session import open_session
from flywheel.package import INSIDE, ModelPackage


@dataclass(frozen=True)
class Replayed:
    """What a version makes of rows.

    Attributes:
        features: (n_rows, n_features), as the feature function returns them.
        outputs: (n_rows, n_outputs), as the contract names them; None where the package has no graph.
    """

    features: pl.DataFrame
    outputs: pl.DataFrame | None


@dataclass(frozen=True)
class Replayer:
    """One version, ready to be asked again."""

    package: ModelPackage
    function: Callable[[pl.DataFrame], pl.DataFrame]
    session: Any | None

    @classmethod
    def open(cls, package: ModelPackage) -> Self:
        """Load the feature function, and the graph where there is one.

        Raises:
            IntegrityError: A part of the package cannot be loaded.
        """
        inside = package.folder / INSIDE
        try:
            function = load_module(inside / "features.py", "feature function").features
        except (DataError, AttributeError) as fault:
            raise IntegrityError(f"Features of package {package.folder} cannot be loaded: {fault}") from fault
        return cls(package, function, _graph(package) if _has_graph(package) else None)

    def replay(self, inputs: pl.DataFrame) -> Replayed:
        """Ask the version about raw inputs.

        Args:
            inputs: (n_rows, n_columns) as `flywheel.fields.read_fields` gives them, typed by the contract.

        Raises:
            DataError: The feature function fails on these rows, or answers with another number of rows.
        """
        contract = self.package.contract
        typed = inputs.select(pl.col(column.name).cast(POLARS[column.type]) for column in contract.columns)
        # Polars computes a lone value otherwise than a column, in the last bit; the agent asks with two equal rows.
        asked = pl.DataFrame([pl.concat([one, one]) for one in typed.get_columns()]) if typed.height == 1 else typed
        try:
            features = self.function(asked)
        except Exception as fault:  # the user's own code: whatever it raises is a fault of that file
            what = f"{type(fault).__name__}: {fault}"
            raise DataError(
                f"The feature function of {_name(self.package)} fails on logged inputs: {what}. It served them once, "
                "so its libraries have changed: replay in the version's environment."
            ) from fault
        if features.height != asked.height:
            raise DataError(
                f"The feature function of {_name(self.package)} made {features.height:,} rows of "
                f"{asked.height:,}: it must return one for each."
            )
        return Replayed(features.head(typed.height), self._answers(features, typed.height))

    def _answers(self, features: pl.DataFrame, rows: int) -> pl.DataFrame | None:
        if self.session is None:
            return None
        if rows == 0:
            return pl.DataFrame({output.name: [] for output in self.package.contract.outputs})
        fed = {
            one.name: _feed(features[one.name], text=one.type == "tensor(string)") for one in self.session.get_inputs()
        }
        names = [output.name for output in self.package.contract.outputs]
        found = self.session.run(names, fed)
        columns = {
            name: values.reshape(len(values), -1)[:rows, 0].tolist() for name, values in zip(names, found, strict=True)
        }
        return pl.DataFrame(columns, strict=False)


def _name(package: ModelPackage) -> str:
    """Name a package in messages."""
    return f"'{package.usecase.name}' ({package.folder.name})"


def _has_graph(package: ModelPackage) -> bool:
    try:
        return bool(orjson.loads((package.folder / INSIDE / "onnx.json").read_bytes())["available"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _graph(package: ModelPackage) -> Any:
    path = package.folder / INSIDE / "model.onnx"
    try:
        return open_session(path)
    except Exception as fault:  # onnxruntime's own classes of faults, which it does not publish
        raise IntegrityError(f"Graph {path} cannot be loaded: {fault}. Train the model again.") from fault


def _feed(values: pl.Series, *, text: bool) -> npt.NDArray[Any]:
    """Return a feature as the graph takes it, (n_rows, 1): text with "" or floats with NaN for what is missing."""
    if text:
        column = np.empty((len(values), 1), dtype=object)
        column[:, 0] = [value or "" for value in values.cast(pl.String).to_list()]
        return column
    return values.cast(pl.Float64).fill_null(np.nan).to_numpy().astype(np.float32).reshape(-1, 1)
