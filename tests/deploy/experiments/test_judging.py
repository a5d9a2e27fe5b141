import json
from typing import Any

import pytest

from deploy.experiments.documents import judge_experiment
from flywheel.errors import UsageError
from tests.deploy.experiments.worlds import document

GUARDED = document(guardrails={"latency": {"measure": {"kind": "latency"}, "margin": 5}})


def sums(count: int, mean: float, variance: float = 4.0) -> list[dict[str, Any]]:
    half = count // 2
    return [{"count": half, "mean": mean, "squares": variance * max(half - 1, 0)}] * 2


def look(means: dict[str, float], units: int = 4000, **others: Any) -> dict[str, Any]:
    arms = {arm: {"units": units, "metrics": {"revenue": sums(units, mean)}} for arm, mean in means.items()}
    return {"arms": arms, **others}


def guarded(latency: float, lift: float = 1.0, variance: float = 100.0) -> dict[str, Any]:
    found = look({"champion": 14, "challenger": 14 + lift})
    for arm, mean in (("champion", 50.0), ("challenger", latency)):
        found["arms"][arm]["metrics"]["latency"] = sums(4000, mean, variance)
    return found


def judged(plan: dict[str, Any], *looks: dict[str, Any]) -> dict[str, Any]:
    found = judge_experiment(plan, looks)
    assert json.loads(json.dumps(found)) == found
    return found


def test_an_arm_that_is_shown_to_gain_is_promoted() -> None:
    found = judged(document(), look({"champion": 14, "challenger": 14.5}))
    assert (found["call"], found["arm"], found["asks"]) == ("promote", "challenger", False)
    gain = found["arms"][1]["gain"]
    assert gain["low"] > 0
    assert gain["estimate"] == pytest.approx(0.5)


def test_an_arm_that_is_shown_to_lose_goes_back() -> None:
    found = judged(document(), look({"champion": 14, "challenger": 13.5}))
    assert (found["call"], found["arm"]) == ("roll back", None)


def test_where_less_is_better_the_signs_turn() -> None:
    metric = {"name": "revenue", "measure": {"kind": "cost"}, "direction": "decrease"}
    found = judged(document(metric=metric), look({"champion": 14, "challenger": 13.5}))
    assert found["call"] == "promote"
    assert found["arms"][1]["gain"]["estimate"] == pytest.approx(0.5)
    assert found["arms"][1]["lift"]["estimate"] == pytest.approx(0.5 / 14)


def test_a_small_difference_is_not_yet() -> None:
    assert judged(document(), look({"champion": 14, "challenger": 14.05}))["call"] == "not yet"


def test_a_gain_that_is_shown_to_be_below_the_margin_is_not_worth_it() -> None:
    metric = {"name": "revenue", "measure": {"kind": "revenue", "cap": 1000}, "margin": 1.0}
    found = judged(document(metric=metric), look({"champion": 14, "challenger": 14.5}))
    assert found["call"] == "roll back"
    assert "too little" in found["reason"]


def test_nothing_is_said_below_the_least_number_of_units() -> None:
    found = judged(document(minimum_units=4001), look({"champion": 14, "challenger": 20}))
    assert found["call"] == "not yet"
    assert "4,000 measured units of 4,001" in found["reason"]
    assert found["arms"][1]["gain"]["low"] is None


def test_no_units_at_all_are_never_a_pass() -> None:
    assert judged(document(), look({"champion": 0, "challenger": 0}, units=0))["call"] == "not yet"


def test_values_that_never_differ_are_never_a_pass() -> None:
    same = look({"champion": 14, "challenger": 14})
    for arm in same["arms"].values():
        arm["metrics"]["revenue"] = sums(4000, 14, 0.0)
    assert judged(document(), same)["call"] == "not yet"


def test_shares_that_are_not_as_planned_refuse_every_conclusion_in_one_sentence_and_for_good() -> None:
    bad = look({"champion": 14, "challenger": 15})
    bad["arms"]["champion"]["units"] = 5000
    for looks in ([bad], [bad, look({"champion": 14, "challenger": 15})]):
        found = judged(document(), *looks)
        assert (found["call"], found["arm"], found["asks"]) == ("not yet", None, True)
        assert found["reason"].startswith("No conclusion: units are not assigned by the planned shares (champion")
        assert "\n" not in found["reason"]
    assert judged(document(), look({"champion": 14, "challenger": 15}))["call"] == "promote"


def test_a_gain_waits_for_its_guardrails() -> None:
    assert judged(GUARDED, guarded(51))["call"] == "promote"
    found = judged(GUARDED, guarded(51, variance=40_000))
    assert found["call"] == "not yet"
    assert "open whether latency holds" in found["reason"]


def test_a_violated_guardrail_says_stop_whatever_is_gained() -> None:
    found = judged(GUARDED, guarded(60))
    assert (found["call"], found["stop"]) == ("roll back", ["challenger"])
    assert found["reason"].startswith("Stop challenger: latency is worse by ")


def test_a_guardrail_may_be_one_that_is_to_increase() -> None:
    rail = {"latency": {"measure": {"kind": "latency"}, "direction": "increase", "margin": 5}}
    assert judged(document(guardrails=rail), guarded(40))["stop"] == ["challenger"]
    assert judged(document(guardrails=rail), guarded(60))["call"] == "promote"


THREE = document(shares={"a": 40.0, "b": 30.0, "c": 30.0})


def three(b: float, c: float) -> dict[str, Any]:
    found = look({"a": 14, "b": b, "c": c})
    found["arms"]["a"]["units"] = 5333
    return found


def test_of_several_arms_the_best_one_is_promoted() -> None:
    assert judged(THREE, three(14.6, 15))["arm"] == "c"
    assert judged(THREE, three(15, 14.6))["arm"] == "b"
    assert judged(THREE, three(13, 14.6))["arm"] == "c"


def test_several_arms_go_back_together_only_when_each_of_them_lost() -> None:
    assert judged(THREE, three(13, 14))["call"] == "not yet"
    assert judged(THREE, three(13, 13))["call"] == "roll back"


def test_each_of_several_arms_has_its_part_of_alpha() -> None:
    two, one = judged(THREE, three(14.6, 15)), judged(document(), look({"champion": 14, "challenger": 14.6}))
    widths = [found["arms"][1]["gain"]["high"] - found["arms"][1]["gain"]["low"] for found in (two, one)]
    assert widths[0] > 1.02 * widths[1]


def test_each_of_several_guardrails_has_its_part_of_alpha() -> None:
    one, both = guarded(51), guarded(51)
    for arm in both["arms"].values():
        arm["metrics"]["failed"] = arm["metrics"]["latency"]
    two = document(guardrails=GUARDED["guardrails"] | {"failed": {"measure": {"kind": "failures"}, "margin": 5}})
    harms = [judged(plan, look)["arms"][1]["guardrails"][0]["harm"] for plan, look in ((GUARDED, one), (two, both))]
    assert harms[1]["high"] - harms[1]["low"] > 1.02 * (harms[0]["high"] - harms[0]["low"])


def test_the_control_may_be_any_arm() -> None:
    found = judged(document(control="challenger"), look({"champion": 14.5, "challenger": 14}))
    assert (found["call"], found["arm"]) == ("promote", "champion")


def test_after_the_longest_time_it_asks() -> None:
    plan = document(maximum_days=14.0)
    assert judged(plan, look({"champion": 14, "challenger": 14.05}, days=13.9))["asks"] is False
    late = judged(plan, look({"champion": 14, "challenger": 14.05}, days=14.0))
    assert (late["call"], late["asks"]) == ("not yet", True)
    assert judged(plan, look({"champion": 14, "challenger": 15}, days=15.0))["call"] == "promote"


def test_the_numbers_are_those_of_the_last_look_however_many_there_were() -> None:
    last = look({"champion": 14, "challenger": 14.5})
    alone = judged(document(), last)
    after = judged(document(), look({"champion": 14, "challenger": 12}, units=200), last)
    assert after["arms"] == alone["arms"]
    assert (after["call"], after["look"]) == ("promote", 2)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"shares": {"a": 50.0, "b": 40.0}}, "shares sum to 90; they must sum to 100"),
        ({"shares": {"a": 50.0, "b": 60.0}}, "shares sum to 110; they must sum to 100"),
        ({"shares": {"a": 100.0, "b": 0.0}}, "shares.a"),
        ({"shares": {"a": 99.0}}, "shares"),
        ({"control": "c"}, "control 'c' is no arm"),
        ({"alpha": 0.9}, "alpha"),
        ({"alpha": "0.05"}, "alpha"),
        ({"colour": "red"}, "colour"),
        ({"metric": {"name": "x", "measure": {"kind": "revenue"}}}, "metric.measure.cap"),
        ({"metric": {"name": "x", "measure": {"kind": "clicks"}}}, "metric.measure"),
        ({"metric": {"name": "x", "margin": float("nan")}}, "metric.margin"),
        ({"guardrails": {"x": {"measure": {"kind": "failures"}, "margin": 0}}}, "guardrails.x.margin"),
        ({"guardrails": {"revenue": {"measure": {"kind": "failures"}, "margin": 1}}}, "is the metric and a guardrail"),
        ({"metric": {"name": "x", "measure": {"kind": "latency"}}, "covariate": {}}, "latency has none"),
        ({"covariate": {"before": "0d"}}, "before must be a duration above 0"),
    ],
)
def test_a_plan_that_does_not_hold_is_refused_in_one_sentence(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        judge_experiment(document(**change), [look({"champion": 1, "challenger": 1})])
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def without(name: str) -> dict[str, Any]:
    found = look({"champion": 14, "challenger": 15})
    del found["arms"][name]
    return found


def metricless() -> dict[str, Any]:
    found = look({"champion": 14, "challenger": 15})
    found["arms"]["champion"]["metrics"] = {}
    return found


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (look({"champion": 14, "challenger": 15, "third": 1}), "Look 1: arm 'third' is not in the plan"),
        (without("champion"), "Look 1: arm 'champion' is missing"),
        (metricless(), "Look 1: metrics.revenue of arm 'champion' is missing"),
        (look({"champion": float("nan"), "challenger": 15}), "Look 1: 'arms.champion.metrics.revenue.0.mean' is wrong"),
        (look({"champion": 14, "challenger": 15}, units=-2), "Look 1: 'arms.champion.units' is wrong"),
        ({}, "Look 1: key 'arms' is missing"),
    ],
)
def test_a_look_that_does_not_fit_the_plan_is_refused_in_one_sentence(found: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        judge_experiment(document(), [found])


def test_no_look_is_refused() -> None:
    with pytest.raises(UsageError, match="has no look"):
        judge_experiment(document(), [])
