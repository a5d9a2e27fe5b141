"""That a worker reads exactly the rows that were asked for, by MLflow's own parsing and the model's own typing."""

import json
import warnings
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.types.schema import ColSpec, Schema

from deploy.agent.backends.worker_body import WorkerBody
from flywheel.column_rules import EARLIEST, LATEST, LONG_LIMIT
from flywheel.contract import Column, ColumnType, Contract, ValidRow

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow warns of its own type hints while it is imported
    from mlflow.models import ModelSignature
    from mlflow.models.utils import _enforce_schema
    from mlflow.pyfunc.scoring_server import infer_and_parse_data

    from training.packaging.model_code import typed
    from training.packaging.signature import signature_of

VALUES: dict[ColumnType, st.SearchStrategy[Any]] = {
    "long": st.integers(-LONG_LIMIT, LONG_LIMIT - 1),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "string": st.text(st.characters(codec="utf-8"), max_size=4),
    "boolean": st.booleans(),
    "datetime": st.datetimes(EARLIEST, LATEST),
}
Signed = Callable[[Contract], ModelSignature]


def contract_of(columns: list[tuple[ColumnType, bool]]) -> Contract:
    made = (Column(name=f"c{index}", type=kind, nullable=null) for index, (kind, null) in enumerate(columns))
    time = Column(name="at", type="datetime", nullable=False)
    return Contract(columns=(time, *made), event_time="at", entity=None)


def row_of(contract: Contract, values: dict[str, Any]) -> ValidRow:
    return ValidRow({column.name: values[column.name] for column in contract.columns}, values["at"], None, None, [])


@st.composite
def asked(draw: st.DrawFn) -> tuple[Contract, list[dict[str, Any]]]:
    contract = contract_of(draw(st.lists(st.tuples(st.sampled_from(list(VALUES)), st.booleans()), max_size=5)))
    row = st.fixed_dictionaries(
        {
            column.name: st.none() | VALUES[column.type] if column.nullable else VALUES[column.type]
            for column in contract.columns
        }
    )
    return contract, draw(st.lists(row, min_size=1, max_size=4))


def as_the_model_sees(contract: Contract, signature: ModelSignature, bodies: list[bytes]) -> list[dict[str, Any]]:
    """Go through what `mlflow models serve` does with a request before it calls the model, and the model's own part."""
    rows = []
    for body in bodies:
        parsed = infer_and_parse_data(json.loads(body), signature.inputs)
        frame = typed(_enforce_schema(parsed, signature.inputs), contract.model_dump()["columns"])
        rows += frame.to_dicts()
    return rows


@settings(max_examples=300, deadline=None)
@given(case=asked())
def test_the_model_sees_exactly_the_rows_that_were_asked_for(case: tuple[Contract, list[dict[str, Any]]]) -> None:
    contract, rows = case
    bodies = WorkerBody(contract).write([row_of(contract, row) for row in rows])
    assert as_the_model_sees(contract, signature_of(contract), bodies) == rows


def fully_typed(contract: Contract) -> ModelSignature:
    """Return the signature that MLflow infers by itself: every column has its own type."""
    return ModelSignature(Schema([ColSpec(one.type, one.name, required=not one.nullable) for one in contract.columns]))


FULL: dict[str, Any] = {"at": datetime(2013, 1, 1), "c0": 1, "c1": 0.5, "c2": "a", "c3": True}
KINDS: list[tuple[ColumnType, bool]] = [("long", True), ("double", True), ("string", True), ("boolean", True)]


@pytest.mark.parametrize("signed", [signature_of, fully_typed])
@pytest.mark.parametrize("change", [{}, {"c1": None}, {"c2": None}, {"c2": "a\0"}, {"c2": "None"}])
def test_a_missing_value_stays_missing_under_either_signature(signed: Signed, change: dict[str, Any]) -> None:
    contract = contract_of(KINDS)
    rows = [FULL | change, FULL]
    bodies = WorkerBody(contract).write([row_of(contract, row) for row in rows])
    assert as_the_model_sees(contract, signed(contract), bodies) == rows


@pytest.mark.parametrize(
    ("change", "form"), [({}, "inputs"), ({"c1": None}, "inputs"), ({"c2": None}, "dataframe_split")]
)
def test_the_fast_form_is_used_where_it_is_exact(change: dict[str, Any], form: str) -> None:
    contract = contract_of(KINDS)
    (body,) = WorkerBody(contract).write([row_of(contract, FULL | change), row_of(contract, FULL)])
    assert list(json.loads(body)) == [form]


@pytest.mark.parametrize(("number", "calls"), [(2**53, 1), (2**53 + 1, 2)])
def test_a_number_that_no_double_holds_goes_alone_beside_a_missing_one(number: int, calls: int) -> None:
    contract = contract_of(KINDS)
    rows = [FULL | {"c0": number}, FULL | {"c0": None}]
    bodies = WorkerBody(contract).write([row_of(contract, row) for row in rows])
    assert len(bodies) == calls
    assert as_the_model_sees(contract, signature_of(contract), bodies) == rows
