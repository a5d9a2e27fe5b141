"""The prediction log as a rollout uses it: what its plan is made from, and what each look is made of.

Flows in: the packages of both versions and the log. Flows out: plans of the metrics that go by predictions and
outcomes, and their documents, look by look.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from deploy.desired import Served
from deploy.evidence.evidence import Evidence
from deploy.evidence.lasting import LastingLosses
from deploy.evidence.plan import EvidencePlan
from deploy.evidence.references import Past, bins_of, bins_of_classes, loss_of, read_past
from deploy.loop.plans import References, metric_name
from deploy.loop.rollout import Rollout
from deploy.packages import Packages
from flywheel.errors import SpecError
from flywheel.faults import reason_of
from flywheel.package import ModelPackage, read_package
from flywheel.rollout_spec import Kpi
from flywheel.rollout_spec import Rollout as RolloutSpec
from flywheel.storage import PredictionLog

GAINS = ("conversion", "revenue")
# Of the range of a measure: a larger margin could never be exceeded.
MOST_MARGIN = 0.9


@dataclass
class LogObservatory:
    """One log, and the packages of the versions that write it. Not for several threads."""

    log: PredictionLog
    packages: Packages
    now: Callable[[], datetime]
    _evidence: dict[str, Evidence] = field(default_factory=dict)
    _losses: dict[str, LastingLosses] = field(default_factory=dict)

    def references(self, champion: Served, new: Served, spec: RolloutSpec) -> References:
        """Return what the plan of a rollout goes by, of the champion's last day.

        Raises:
            IntegrityError: A package is not what was approved.
            SpecError: The two packages cannot be compared by what the use case asks for.
            StackError: The log cannot be read.
        """
        package = read_package(self.packages.fetch(champion))
        newer = read_package(self.packages.fetch(new))
        outputs = {output.name: output.type for output in package.contract.outputs}
        document = {
            "champion": champion.version,
            "challenger": new.version,
            "task": package.usecase.task,
            "outputs": outputs,
            "sticky": spec.unit == "user",
            "users": spec.unit == "user",
            "shadow": spec.shadow is not None,
            **_horizon(package),
        }
        plain = _plan(document)
        moment = self.now().astimezone(UTC).replace(tzinfo=None)
        past = read_past(self.log, champion.usecase, champion.version, outputs, moment)
        seen = {**_bins(spec, past, plain), **_loss(spec, past, plain), **_kpi(spec, newer)}
        plan = _plan({**document, **seen})
        start = Evidence.of(self.log, champion.usecase, "", plan).start()
        return References(None, {"plan": plan.model_dump(mode="json"), "start": start}, metrics_of(spec, plan))

    def evidence(self, rollout: Rollout) -> "StepEvidence | ArmsEvidence | None":
        """Return what looks at a rollout's present step are made of; None where its plan looks at no prediction."""
        if "arms" in rollout.plan.evidence:
            arms = rollout.plan.evidence["arms"]
            return ArmsEvidence({arm: self._of_arm(rollout, arm, one["plan"]) for arm, one in arms.items()}, rollout)
        if "plan" not in rollout.plan.evidence:
            return None
        if rollout.name not in self._evidence:
            plan = EvidencePlan.model_validate(rollout.plan.evidence["plan"])
            self._evidence[rollout.name] = Evidence.of(self.log, rollout.new.usecase, rollout.name, plan)
        return StepEvidence(self._evidence[rollout.name], rollout)

    def losses(self, reign: Rollout) -> LastingLosses:
        """Return what the log says of the loss of what a rollout brought, while it is live.

        Raises:
            IntegrityError: Its package is not what was approved.
            TransientError: The registry does not answer.
        """
        if reign.name not in self._losses:
            package, version = read_package(self.packages.fetch(reign.new)), reign.new.version
            outputs = {output.name: output.type for output in package.contract.outputs}
            unit = {"sticky": reign.plan.spec.unit == "user", **_horizon(package)}
            task = {"task": package.usecase.task, "outputs": outputs}
            plan = _plan({"champion": version, "challenger": version, **task, **unit})
            since = reign.started.astimezone(UTC).replace(tzinfo=None)
            self._losses[reign.name] = LastingLosses(self.log, reign.new.usecase, plan, since)
        return self._losses[reign.name]

    def _of_arm(self, rollout: Rollout, arm: str, plan: Mapping[str, Any]) -> Evidence:
        key = f"{rollout.name} {arm}"
        if key not in self._evidence:
            made = EvidencePlan.model_validate(plan)
            self._evidence[key] = Evidence.of(self.log, rollout.new.usecase, rollout.name, made)
        return self._evidence[key]


@dataclass(frozen=True)
class StepEvidence:
    """What the log says at one step of a rollout."""

    evidence: Evidence
    rollout: Rollout

    def since(self, cursor: Mapping[str, Any]) -> tuple[dict[str, Any], Mapping[str, Any]]:
        """Return what came after a cursor, by metric, and the next cursor; an empty one is the rollout's start.

        Raises:
            DataError: A user was in both arms.
            StackError: The log cannot be read.
        """
        began = self.rollout.since.astimezone(UTC).replace(tzinfo=None)
        found = self.evidence.since(cursor or self.rollout.plan.evidence["start"], began)
        if self.rollout.plan.steps[self.rollout.step]:
            return {name: one for name, one in found.documents.items() if name != "shadow"}, found.cursor
        # Both versions answered the same requests: the differences of pairs are what the loss goes by. The champion's
        # own values would wait for a canary's of another time.
        pairs = found.documents.get("shadow", {}).get("differences", [])
        return ({"loss": {"differences": pairs}} if pairs else {}), {**found.cursor, "held": {}}


@dataclass(frozen=True)
class ArmsEvidence:
    """What the log says of an experiment: each challenger's arm against the champion's, the metrics named by arm."""

    arms: Mapping[str, Evidence]
    rollout: Rollout

    def since(self, cursor: Mapping[str, Any]) -> tuple[dict[str, Any], Mapping[str, Any]]:
        """Return what came after a cursor, by metric, and the next cursor; an empty one is the rollout's start.

        Raises:
            DataError: A user was in two arms.
            StackError: The log cannot be read.
        """
        began = self.rollout.since.astimezone(UTC).replace(tzinfo=None)
        documents, cursors = dict[str, Any](), dict[str, Any]()
        for arm, evidence in self.arms.items():
            found = evidence.since(cursor.get(arm) or self.rollout.plan.evidence["arms"][arm]["start"], began)
            documents |= {metric_name(name, arm): one for name, one in found.documents.items()}
            cursors[arm] = found.cursor
        return documents, cursors


def metrics_of(spec: RolloutSpec, plan: EvidencePlan) -> dict[str, dict[str, Any]]:
    """Return the plans of the metrics that go by predictions and outcomes; none opens a gate: outcomes come late."""
    found: dict[str, dict[str, Any]] = {}
    if plan.bins is not None:
        found["prediction_shift"] = {"kind": "shift", "bins": plan.bins.count}
    if plan.loss is not None:
        found["loss"] = _mean(plan.loss.low, plan.loss.high, spec.loss_margin)
    if spec.kpi is not None:
        low, high = (spec.kpi.low, spec.kpi.high) if spec.kpi.measure == "cost" else (-spec.kpi.high, -spec.kpi.low)
        found["kpi"] = _mean(low, high, spec.kpi.margin)
    return found


def _plan(document: Mapping[str, Any]) -> EvidencePlan:
    try:
        return EvidencePlan.model_validate(document)
    except ValidationError as fault:
        reason = reason_of(fault.errors()[0])
        raise SpecError(
            f"Versions {document['champion']} and {document['challenger']} cannot be compared: {reason}"
        ) from fault


def _mean(low: float, high: float, margin: float) -> dict[str, Any]:
    margin = min(margin, MOST_MARGIN * (high - low))  # a champion may lose less than what is tolerated
    return {"kind": "mean", "low": low, "high": high, "margin": margin, "opens": False}


def _bins(spec: RolloutSpec, past: Past, plan: EvidencePlan) -> dict[str, Any]:
    if "prediction_shift" not in spec.guard:
        return {}
    bins = bins_of_classes(plan.outputs) if plan.task == "multiclass" else bins_of(past.predictions)
    return {} if bins is None else {"bins": bins.model_dump()}


def _loss(spec: RolloutSpec, past: Past, plan: EvidencePlan) -> dict[str, Any]:
    loss = loss_of(past, plan) if "loss" in spec.guard else None
    return {} if loss is None else {"loss": loss.model_dump()}


def _kpi(spec: RolloutSpec, package: ModelPackage) -> dict[str, Any]:
    kpi: Kpi | None = spec.kpi
    if kpi is None:
        return {}
    bounds = {"kind": kpi.measure, "low": kpi.low, "high": kpi.high}
    costs = package.usecase.evaluate.costs
    return {"kpi": bounds if kpi.measure in GAINS or costs is None else {**bounds, "costs": costs.model_dump()}}


def _horizon(package: ModelPackage) -> dict[str, float]:
    """Return when an answer without an outcome is censored: four times what a label is said to take, at least a day."""
    seconds = package.usecase.data.label.available_after.total_seconds()
    return {"horizon_seconds": max(4 * seconds, 86_400.0)}
