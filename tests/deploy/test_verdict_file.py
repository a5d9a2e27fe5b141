import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from deploy.cli import app
from deploy.verdict_file import judge_file
from deploy.verdict_looks import KINDS
from deploy.verdict_plan import PlanSpec
from flywheel.errors import UsageError

DOCS = Path(__file__).parents[2] / "docs" / "verdict.md"
RUNNER = CliRunner()


def plan(**metrics: dict[str, Any]) -> dict[str, Any]:
    return {"steps": [10, 50], "alpha": 0.05, "metrics": metrics}


def written(folder: Path, document: object) -> Path:
    path = folder / "looks.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def arms(canary: object, baseline: object) -> dict[str, object]:
    return {"canary": canary, "baseline": baseline}


def errors(canary: tuple[int, int], baseline: tuple[int, int], step: int = 10) -> dict[str, Any]:
    both = [{"requests": requests, "errors": failed} for requests, failed in (canary, baseline)]
    return {"step": step, "metrics": {"errors": arms(*both)}}


ERRORS = {"kind": "errors", "part": 1.0, "margin": 0.01}
GOOD: dict[str, Any] = {"plan": plan(errors=ERRORS), "looks": [errors((800, 1), (7200, 14))]}


def test_the_example_of_the_documentation_says_what_it_says_there(tmp_path: Path) -> None:
    text = DOCS.read_text()
    example, shown = re.findall(r"```json\n(.*?)```", text, re.S)[0], re.findall(r"```console\n(.*?)```", text, re.S)[0]
    result = RUNNER.invoke(app, ["verdict", str(written(tmp_path, example))])
    assert result.exit_code == 3
    command, *lines = shown.strip().splitlines()
    assert command == "$ flywheel verdict looks.json"
    said = result.stdout.splitlines()
    assert said[: len(lines)] == lines
    assert [line.split()[0] for line in said[2:5]] == ["statistic", "interval", "counts"]


def test_the_documentation_names_every_kind_and_every_key() -> None:
    rows = {row.split("|")[1].strip(" `"): row for row in DOCS.read_text().splitlines() if row.startswith("| `")}
    assert set(rows) == set(KINDS)
    for kind, row in rows.items():
        schema = PlanSpec.model_json_schema()["$defs"]
        spec = next(part for part in schema.values() if part.get("properties", {}).get("kind", {}).get("const") == kind)
        for key in spec["properties"]:
            assert key == "kind" or f"`{key}`" in row or "the same" in row
        assert any(f"`{key}`" in row or "both" in row or "the same" in row for key in KINDS[kind].model_fields)


@pytest.mark.parametrize(
    ("looks", "code"),
    [
        ([errors((800, 1), (7200, 14))], 0),
        ([errors((40, 1), (360, 9))], 4),
        ([errors((40, 20), (360, 2))], 3),
        ([errors((800, 1), (7200, 14)), errors((0, 0), (3600, 9))], 4),  # no traffic is never a pass
        ([errors((800, 1), (7200, 14)), errors((0, 0), (0, 0))], 4),
        ([errors((800, 1), (7200, 14)), {"step": 10, "metrics": {}}], 4),
        ([errors((800, 1), (7200, 14)), errors((10, 0), (10, 0), step=50)], 4),  # a new step has a gate of its own
        ([], 4),
    ],
)
def test_the_exit_code_is_the_verdict(tmp_path: Path, looks: list[Any], code: int) -> None:
    result = RUNNER.invoke(app, ["verdict", str(written(tmp_path, {"plan": plan(errors=ERRORS), "looks": looks}))])
    assert result.exit_code == code, result.stdout


def test_counts_without_traffic_in_one_arm_are_judged_with_the_next(tmp_path: Path) -> None:
    split = [errors((0, 0), (360, 3)), errors((0, 0), (0, 0)), errors((45, 2), (5, 0))]
    whole = [errors((45, 2), (365, 3))]
    found = [
        judge_file(written(tmp_path, {"plan": plan(errors=ERRORS), "looks": looks}))[0].readings["errors"]
        for looks in (split, whole)
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ("{", "is no JSON"),
        ("[]", "must hold an object"),
        ("[" * 100_000, "is no JSON"),
        ('{"plan": 1, "plan": 2}', "the key 'plan' stands twice"),
        ({"looks": []}, "key 'plan' is missing. Add it. docs/verdict.md"),
        ({**GOOD, "look": []}, "unknown key 'look'. Remove it"),
        ({**GOOD, "plan": plan()}, "'plan.metrics' is wrong: it must have at least 1 entry, and has none."),
        ({**GOOD, "plan": {**plan(errors=ERRORS), "steps": [50, 10]}}, "must rise"),
        ({**GOOD, "plan": plan(errors=ERRORS, other=ERRORS)}, "sum to 2"),
        (
            {**GOOD, "plan": plan(errors={**ERRORS, "kind": "mistakes"})},
            "errors.kind' is wrong: 'mistakes' is none of",
        ),
        ({**GOOD, "plan": plan(loss={"kind": "mean", "part": 1, "low": 1, "high": 0, "margin": 0.1})}, "must rise"),
        (
            {**GOOD, "plan": plan(it={"kind": "latency", "part": 1, "seconds": {"p90": 2.0, "p99": 1.0}})},
            "'plan.metrics.it.seconds' is wrong: p90 2 must be below p99 1",
        ),
        (
            {**GOOD, "looks": [errors((4, 5), (4, 0))]},
            "'looks.1.metrics.errors.canary' is wrong: 5 errors are",
        ),
        (
            {**GOOD, "looks": [errors((4, -1), (4, 0))]},
            "'looks.1.metrics.errors.canary.errors' is wrong: it must",
        ),
        ({**GOOD, "looks": [errors((4, 1), (4, 0), step=20)]}, "looks.1.step: 20 is none"),
        ({**GOOD, "looks": [errors((4, 1), (4, 0), 50), errors((4, 1), (4, 0))]}, "looks.2.step goes back"),
        ({**GOOD, "looks": [{"step": 10, "metrics": {"loss": {}}}]}, "looks.1.metrics.loss is no metric"),
        ({**GOOD, "verdict": {"call": "roll back"}}, "says 'roll back', but its looks say 'promote'"),
    ],
)
def test_a_bad_file_is_refused_with_where_and_what(tmp_path: Path, document: object, where: str) -> None:
    with pytest.raises(UsageError, match=re.escape(where)) as caught:
        judge_file(written(tmp_path, document))
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def paths(value: object, at: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Every place in a document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(found for key, part in inside for found in paths(part, (*at, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: object) -> Any:
    """A copy of a document with another value at one place."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None, max_examples=300)
@given(data=st.data(), new=ANYTHING | st.just({"a\nb": None}))
def test_whatever_stands_anywhere_in_a_file_is_judged_or_refused_in_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, new: object
) -> None:
    kinds = {kind: {"kind": kind, **spec} for kind, (spec, _) in EVERY_KIND.items()}
    kinds["series"]["part"] = 0.0001
    kinds = {kind: {**spec, "part": spec["part"] / 3} for kind, spec in kinds.items()}
    whole = {
        "plan": {"steps": [10, 50], "alpha": 0.05, "metrics": kinds},
        "looks": [{"step": 10, "metrics": {kind: look for kind, (_, look) in EVERY_KIND.items()}}],
    }
    path = data.draw(st.sampled_from(paths(whole)))
    try:
        judged, _ = judge_file(written(tmp_path_factory.mktemp("any"), replaced(whole, path, new)))
    except UsageError as error:
        assert "\n" not in str(error)  # noqa: PT017 - both ends are right
    else:
        assert judged.reason


@pytest.mark.parametrize("body", [{"differences": [2.0]}, {"differences": [math.nan]}, {"canary": [0.5]}])
def test_values_that_the_plan_cannot_hold_are_refused(tmp_path: Path, body: dict[str, Any]) -> None:
    loss = {"kind": "mean", "part": 1, "low": 0, "high": 1, "margin": 0.1}
    with pytest.raises(UsageError, match="looks"):
        judge_file(written(tmp_path, {"plan": plan(loss=loss), "looks": [{"step": 10, "metrics": {"loss": body}}]}))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        judge_file(tmp_path / "nothing.json")


EVERY_KIND: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "errors": ({"part": 0.2}, arms({"requests": 50, "errors": 30}, {"requests": 500, "errors": 2})),
    "latency": (
        {"part": 0.8, "seconds": {"p90": 0.1, "p99": 0.3}},
        arms({"requests": 500, "over_p90": 400, "over_p99": 300}, {"requests": 5000, "over_p90": 200, "over_p99": 30}),
    ),
    "mean": ({"part": 0.2, "low": 0, "high": 1, "margin": 0.1}, {"differences": [0.5, 0.4] * 30}),
    "users": ({"part": 0.2}, arms({f"c{number}": 2 for number in range(12)}, {"b": 1})),
    "pods": ({"part": 0.2, "looks": 2}, arms([9, 9, 9], [0] * 27)),
    "series": ({"part": 1.0, "minutes": 8}, arms(100, 1)),
}


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_each_kind_that_rolls_back_does_so_on_clear_harm_and_says_why(tmp_path: Path, kind: str) -> None:
    spec, look = EVERY_KIND[kind]
    looks = [{"step": 10, "metrics": {"it": look}}] * 12
    result = RUNNER.invoke(
        app, ["verdict", str(written(tmp_path, {"plan": plan(it={"kind": kind, **spec}), "looks": looks}))]
    )
    assert result.exit_code == 3, result.stdout
    for word in ("roll back", "statistic", "interval", "counts"):
        assert word in result.stdout


@pytest.mark.parametrize(
    ("kind", "spec", "look"),
    [
        ("shift", {"bins": 2, "holds": True}, arms([90, 10], [450, 450])),
        ("dispersion", {"minutes": 8}, None),
    ],
)
def test_what_only_differs_holds_an_open_gate_and_never_rolls_back(
    tmp_path: Path, kind: str, spec: dict[str, Any], look: dict[str, Any] | None
) -> None:
    looks: list[dict[str, Any]] = [
        {"step": 10, "metrics": {**errors((100, 0), (900, 1))["metrics"], "it": look or arms(50, number % 2 * 1000)}}
        for number in range(10)
    ]
    for metrics, call in (
        ({"errors": ERRORS, "it": {"kind": kind, **spec}}, "not yet"),
        ({"errors": ERRORS}, "promote"),
    ):
        kept = [{**one, "metrics": {name: one["metrics"][name] for name in metrics}} for one in looks]
        judged, _ = judge_file(written(tmp_path, {"plan": plan(**metrics), "looks": kept}))
        assert judged.call.value == call
    assert (
        "holds"
        in judge_file(written(tmp_path, {"plan": plan(errors=ERRORS, it={"kind": kind, **spec}), "looks": looks}))[
            0
        ].reason
    )


def test_a_good_paired_loss_opens_its_gate(tmp_path: Path) -> None:
    loss = {"kind": "mean", "part": 1, "low": 0, "high": 1, "margin": 0.1}
    looks = [{"step": 10, "metrics": {"loss": {"differences": [0.01, -0.01] * 100}}}]
    assert judge_file(written(tmp_path, {"plan": plan(loss=loss), "looks": looks}))[0].call.value == "promote"


COUNTS = st.builds(lambda good, bad: (good + bad, bad), st.integers(0, 400), st.integers(0, 12))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(COUNTS, COUNTS), max_size=8), st.integers(0, 8))
def test_a_record_replays_to_itself(
    tmp_path_factory: pytest.TempPathFactory, looks: list[tuple[tuple[int, int], tuple[int, int]]], second: int
) -> None:
    folder = tmp_path_factory.mktemp("record")
    body = [errors(*look, step=10 if number < second else 50) for number, look in enumerate(looks)]
    shown = RUNNER.invoke(
        app, ["verdict", str(written(folder, {"plan": plan(errors=ERRORS), "looks": body})), "--json"]
    )
    again = RUNNER.invoke(app, ["verdict", str(written(folder, shown.stdout)), "--json"])
    assert again.exit_code == shown.exit_code
    assert again.stdout == shown.stdout
