"""The tables of `flywheel status`: they fit where they can, and cut nothing where they cannot."""

from dataclasses import replace

import pytest

from deploy.loop.progress import Progress
from deploy.loop.rollout import Phase
from deploy.status.arms import Arm, Figures
from deploy.status.spooled import Spooled
from deploy.status.view import rollout_lines, shift_lines, shown

LONG = "a-use-case-whose-name-is-as-long-as-a-name-of-a-use-case-may-b"
BUSY = Figures(61.7, 1234.5, 0.00123, 0.0123, 0.105)
NONE = Figures()


def arm(use_case: str, version: str, role: str, share: float, figures: Figures = BUSY) -> Arm:
    return Arm(use_case, version, role, share, 1, 2, "mlflow", figures, 17, 0.9, Spooled(1_234_567, 3))


ARMS = [
    arm("flights-delay", "12", "champion", 90),
    arm("flights-delay", "13", "challenger", 10, Figures(7300, 0.004, 0.00001, 0.0004, 130)),
    arm("flights-delay", "13", "shadow", 25),
    Arm(LONG, "3", "champion", 100, 0, 1, None, NONE, None, None, Spooled(0, 0)),
]


def test_a_wide_terminal_gets_one_table_with_a_line_an_arm_below_its_use_case() -> None:
    assert shown(ARMS, 120).splitlines()[2:] == [
        "flights-delay",
        "  v12 champion     90 %    1/2   mlflow   1234   0.12 %   12 ms  105 ms     17    62 s   900 ms  1.2 MB"
        "            3",
        "  v13 challenger   10 %    1/2   mlflow  <0.01  <0.01 %  0.4 ms   2 min     17     2 h   900 ms  1.2 MB"
        "            3",
        "  v13 shadow      +25 %    1/2   mlflow   1234   0.12 %   12 ms  105 ms     17    62 s   900 ms  1.2 MB"
        "            3",
        LONG,
        "  v3 champion     100 %    0/1        –      –        –       –       –      –       –        –     0 B"
        "            0",
    ]


def test_a_narrow_one_gets_two_that_fit_and_a_shadows_spool_only_once() -> None:
    lines = shown(ARMS, 80).splitlines()
    assert max(map(len, lines)) <= 80
    traffic, log = lines[: lines.index("")], lines[lines.index("") + 1 :]
    assert [line.split()[0] for line in log] == ["version", log[1], "flights-delay", "v12", "v13", LONG, "v3"]
    assert [line.split()[0] for line in traffic[2:]] == ["flights-delay", "v12", "v13", "v13", LONG, "v3"]


def test_a_rollout_is_told_in_one_line_and_where_its_log_is() -> None:
    reason = "Version 2 was rolled back: it did not start. The end of its log:\nno such column"
    progress = Progress("flights", "1", None, 100, Phase.ROLLED_BACK, reason, settled=True)
    assert rollout_lines([progress]) == [
        "flights: version 1 is live. Version 2 was rolled back: it did not start. "
        "`flywheel logs flights` shows its log."
    ]


def test_what_is_recalibrated_is_told_once_a_version_and_nothing_else_is() -> None:
    moved = [*(replace(one, shift=-0.25) for one in ARMS[1:3]), ARMS[0]]
    assert shift_lines(moved) == [
        "flights-delay: version 13 is recalibrated, its answers are moved by -0.250 in log-odds."
    ]
    assert shift_lines(ARMS) == []


@pytest.mark.parametrize("width", [1, 20, 80, 120])
def test_no_width_costs_a_figure(width: int) -> None:
    words = set(shown(ARMS, 1000).split())
    assert words - set(shown(ARMS, width).split()) <= {word for word in words if set(word) == {"─"}}
    assert "…" not in shown(ARMS, width)
