"""The table of the stack's parts: columns give way on a narrow terminal, and nothing that is shown is cut."""

import pytest

from flywheel.stack.cli import HEAD, _table
from flywheel.stack.status import Row

ROWS = [
    Row("Gateway", "gateway", "RUNNING", True, "", 28141, "http://127.0.0.1:30216", "/srv/flywheel/logs/gateway.log"),
    Row("MLflow", "mlflow", "RUNNING", False, "nobody listens", 7, "http://127.0.0.1:5000", "/srv/flywheel/logs/m.log"),
]


@pytest.mark.parametrize(
    ("width", "left_out"),
    [(1000, set()), (110, set()), (80, {"log"}), (70, {"log", "pid"}), (50, {"log", "pid", "address"})],
)
def test_what_does_not_fit_is_left_out_and_named(width: int, left_out: set[str]) -> None:
    head, *rows = _table(ROWS, width).splitlines()
    assert head.split() == [name for name in HEAD if name not in left_out]
    assert max(map(len, [head, *rows[:2]])) <= width
    assert rows[2:] == (
        [f"Left out for want of width, and in --json: {', '.join(sorted_as_shown(left_out))}."] * bool(left_out)
    )


def test_part_program_state_and_health_are_always_whole() -> None:
    lines = _table(ROWS, 1).splitlines()
    assert lines[0].split() == ["part", "program", "state", "health"]
    assert lines[2].split(maxsplit=3) == ["MLflow", "mlflow", "RUNNING", "nobody listens"]


def sorted_as_shown(names: set[str]) -> list[str]:
    return [name for name in HEAD if name in names]
