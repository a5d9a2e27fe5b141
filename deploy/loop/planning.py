"""From what a use case asks for to the plan of a rollout: the policy laid over it, the champion measured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from deploy.desired import Served
from deploy.experiments.plan import Experiment
from deploy.loop.experiment_plans import experiment_plan, experiment_way
from deploy.loop.interfaces import Observatory, Target
from deploy.loop.plans import LEAST_FOR_QUANTILES, References, RolloutPlan, latency_of, make_plan
from deploy.shares import CHAMPION, ArmCounts, Share
from flywheel.errors import FlywheelError, TransientError
from flywheel.policy import RolloutPolicy
from flywheel.rollout_spec import Rollout as RolloutSpec


@dataclass(frozen=True)
class Planning:
    """Makes plans.

    Args:
        target: Has the gateway's counts.
        observatory: Has the prediction log.
        lately: Returns what a live version's latest requests were, where somebody watched it.
    """

    target: Target
    observatory: Observatory | None = None
    lately: Callable[[Served], ArmCounts | None] = lambda _: None

    def plan(self, new: Served, champion: Served | None, policy: RolloutPolicy) -> RolloutPlan:
        """Return the plan with which a version would start now.

        A version whose package is not what was approved has a plan too: it is refused when it is to be started, and on
        the record then.

        Raises:
            TransientError: The registry or the gateway does not answer.
        """
        spec = policy.over(self._asked(new))
        return make_plan(spec, policy.alpha, self._references(champion, new, spec) if champion else References())

    def experiment(
        self, arms: Mapping[str, Served], champion: Served, policy: RolloutPolicy, experiment: Experiment
    ) -> RolloutPlan:
        """Return the plan with which an experiment would start now.

        Args:
            arms: The challengers by their arms.
            champion: The control.
            policy: Laid over what the use case asks for.
            experiment: As it goes on record.

        Raises:
            IntegrityError: A package is not what was approved.
            TransientError: The registry or the gateway does not answer.
        """
        specs = {arm: self.target.spec(served) for arm, served in arms.items()}
        way = experiment_way(policy.over(next(iter(specs.values()))), experiment)
        references = {arm: self._references(champion, served, way) for arm, served in arms.items()}
        return experiment_plan(way, policy.alpha, references, experiment)

    def _asked(self, new: Served) -> RolloutSpec:
        try:
            return self.target.spec(new)
        except TransientError:
            raise
        except FlywheelError:
            return RolloutSpec()

    def _references(self, champion: Served, new: Served, spec: RolloutSpec) -> References:
        counts = self.target.counts(Share(champion)).get(CHAMPION)
        if counts is None or counts.requests < LEAST_FOR_QUANTILES:  # quiet, or at a new place there
            counts = self.lately(champion) or counts
        return replace(self._known(champion, new, spec), latency=latency_of(spec, counts))

    def _known(self, champion: Served, new: Served, spec: RolloutSpec) -> References:
        try:
            return self.observatory.references(champion, new, spec) if self.observatory is not None else References()
        except TransientError:
            raise
        except FlywheelError:
            return References()
