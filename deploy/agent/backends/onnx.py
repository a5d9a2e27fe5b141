"""The model in this process: the package's feature function on a Polars frame, then its ONNX graph on one thread.

Answers as the mlflow backend does, which training has measured (onnx.json) and every deploy measures again.
"""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

os.environ.setdefault("POLARS_MAX_THREADS", "1")  # before its import; a row took 1.9 ms with two threads, 1.0 with one

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import orjson
import polars as pl

from deploy.agent.backends.backend import ScorerError, ScorerUnreachableError
from deploy.agent.outputs import Outputs, column_reader
from flywheel.column_types import POLARS
from flywheel.contract import Contract, ValidRow
from flywheel.errors import DataError, IntegrityError
from flywheel.modules import load_module
from flywheel.onnx_session import open_session
from flywheel.package import INSIDE

# A batch that takes longer goes to a thread, so that the event loop still answers; a hop costs about 0.1 ms.
INLINE_SECONDS = 0.01
MANY_ROWS = 32  # from where on a call's time says what a row takes, and not what a call does


class Onnx:
    """One version's feature function and graph.

    Raises:
        IntegrityError: The package has no ONNX form, or a part of it cannot be loaded.
    """

    width = 1
    remote = False

    def __init__(self, package: Path, contract: Contract) -> None:
        inside = package / INSIDE
        _check_form(inside)
        self._features = _load_features(inside / "features.py")
        self._session = _open(inside / "model.onnx")
        self._schema = {column.name: POLARS[column.type] for column in contract.columns}
        self._inputs = [(one.name, one.type == "tensor(string)") for one in self._session.get_inputs()]
        self._outputs = [output.name for output in contract.outputs]
        self._read = [column_reader(output) for output in contract.outputs]
        self._lone_seconds = self._row_seconds = 0.0
        self._free = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Nothing is to be opened."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is to be closed."""

    async def score(self, rows: list[ValidRow], timeout: float, traceparent: str | None = None) -> list[Outputs | None]:
        """Return the outputs of each row (n_rows), None where the model gave none that keep the contract.

        Raises:
            ScorerError: The feature function or the graph failed on these rows.
            ScorerUnreachableError: A slow feature function took longer than `timeout` seconds.
        """
        if self._lone_seconds + self._row_seconds * len(rows) <= INLINE_SECONDS:
            return self._timed(rows)
        try:
            async with asyncio.timeout(timeout):
                return await self._in_a_thread(rows)
        except TimeoutError as fault:
            raise ScorerUnreachableError(f"The model did not answer within {timeout:.1f} seconds.") from fault

    async def _in_a_thread(self, rows: list[ValidRow]) -> list[Outputs | None]:
        """Score when the call before has ended: one whose time is over cannot be stopped, and two are no faster."""
        await self._free.acquire()
        call = asyncio.get_running_loop().run_in_executor(None, self._timed, rows)
        call.add_done_callback(self._ended)
        return await asyncio.shield(call)

    def _ended(self, call: "asyncio.Future[list[Outputs | None]]") -> None:
        self._free.release()
        if not call.cancelled():
            call.exception()  # of a call whose time was over it is nobody's affair any more

    async def answers(self, timeout: float) -> bool:
        """Say whether the model is there: it is in this process."""
        return True

    def _timed(self, rows: list[ValidRow]) -> list[Outputs | None]:
        began = time.perf_counter()
        try:
            return self._score(rows)
        finally:
            took = time.perf_counter() - began
            if len(rows) >= MANY_ROWS:
                self._row_seconds = took / len(rows)
            else:
                self._lone_seconds = took / len(rows)

    def _score(self, rows: list[ValidRow]) -> list[Outputs | None]:
        inputs = [row.inputs for row in rows]
        try:
            # Polars computes a lone value otherwise than a column, in the last bit: training asks with two equal rows.
            frame = pl.from_dicts(inputs if len(inputs) > 1 else inputs * 2, schema=self._schema)
            features = self._features(frame)
            found = self._session.run(self._outputs, {name: _feed(features[name], text) for name, text in self._inputs})
        except Exception as fault:  # the user's own code: whatever it raises on a valid row is the model's fault
            raise ScorerError(f"The model failed: {type(fault).__name__}.", str(fault)) from fault
        columns = [read(values.reshape(len(values), -1)[:, 0]) for read, values in zip(self._read, found, strict=True)]
        return [
            None if None in values else dict(zip(self._outputs, values, strict=True))
            for values in zip(*(column[: len(rows)] for column in columns), strict=True)
        ]


def _load_features(path: Path) -> Callable[[pl.DataFrame], pl.DataFrame]:
    try:
        features: Callable[[pl.DataFrame], pl.DataFrame] = load_module(path, "feature function").features
    except (DataError, AttributeError) as fault:
        raise IntegrityError(f"Features {path} cannot be loaded: {fault}") from fault
    return features


def _feed(values: pl.Series, is_text: bool) -> npt.NDArray[Any]:
    """Return a feature as the graph takes it, (n_rows, 1): text with "" or floats with NaN for what is missing.

    `fill_null` on a series costs 50 µs, more than the graph; numpy's form of a numeric null is NaN already.
    """
    if is_text:
        return _column([text or "" for text in values.cast(pl.String).to_list()])
    if not values.dtype.is_numeric():
        values = values.cast(pl.Float32)
    return values.to_numpy().astype(np.float32).reshape(-1, 1)


def _column(texts: Sequence[str]) -> npt.NDArray[Any]:
    column = np.empty((len(texts), 1), dtype=object)
    column[:, 0] = texts
    return column


def _check_form(inside: Path) -> None:
    path = inside / "onnx.json"
    try:
        form = orjson.loads(path.read_bytes())
        reason = None if form["available"] else str(form["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        reason = f"{path.name} is missing or damaged"
    if reason is not None:
        raise IntegrityError(
            f"Package {inside.parent.parent} has no ONNX form: {reason}. Serve it with backend mlflow."
        )


def _open(path: Path) -> ort.InferenceSession:
    try:
        return open_session(path)
    except Exception as fault:  # onnxruntime's own classes of faults, which it does not publish
        raise IntegrityError(f"Graph {path} cannot be loaded: {fault}. Train the model again.") from fault
