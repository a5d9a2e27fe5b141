"""The tiny model's contract, apart from mlflow."""

from flywheel.contract import Column, Contract

CONTRACT = Contract(
    columns=(
        Column(name="at", type="datetime", nullable=False),
        Column(name="chance", type="double", nullable=False),
        Column(name="count", type="long", nullable=False),
        Column(name="gap", type="double", nullable=True),
        Column(name="mood", type="string", nullable=True),
    ),
    event_time="at",
    entity="key",
    subject=None,
)
