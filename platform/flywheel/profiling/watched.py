"""Which columns of a use case are profiled: its inputs, what a version answers, and what became true. Never a key."""

from flywheel.column_rules import ColumnType
from flywheel.contract import Contract
from flywheel.usecase import Task

PREDICTION, LABEL = "prediction", "label"
ANSWERS: dict[Task, dict[str, ColumnType]] = {
    "binary": {PREDICTION: "double", LABEL: "boolean"},
    "multiclass": {PREDICTION: "string", LABEL: "string"},
    "regression": {PREDICTION: "double", LABEL: "double"},
}


def input_types(contract: Contract) -> dict[str, ColumnType]:
    """Return the inputs' types by name, without the event time, which only ever grows.

    An input that is called like what is answered is left out.
    """
    return {
        column.name: column.type
        for column in contract.columns
        if column.name not in (contract.event_time, PREDICTION, LABEL)
    }
