"""The tiny model's contract, apart from mlflow."""

from flywheel.contract import Column, Contract, Output

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
# The same model behind a contract that asks for more of what it answers.
CLASSES = CONTRACT.model_copy(
    update={
        "outputs": (
            Output(name="prediction", type="string"),
            Output(name="probability_calm", type="double"),
            Output(name="probability_wild", type="double"),
            Output(name="amount", type="double"),
            Output(name="decision", type="boolean"),
        )
    }
)
