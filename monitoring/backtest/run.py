"""The whole of a backtest: history encoded, a first training tuned, every policy replayed, several at once."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

from flywheel.errors import UsageError
from flywheel.usecase import Costs, UseCase
from monitoring.backtest.fits import Fits
from monitoring.backtest.history import History, moment, open_history
from monitoring.backtest.policies import Policy
from monitoring.backtest.replay import replay
from monitoring.backtest.scene import Replayed, Scene
from monitoring.backtest.score import Part, Recommendation, Scores
from monitoring.backtest.trainer import Trainer, TrainingProcesses, encode

BEYOND = timedelta(days=7)  # of the last labelled row that a replay may end: a whole week of a calendar


@dataclass(frozen=True)
class Plan:
    """What is replayed.

    Attributes:
        file: The usecase.yaml; `use_case` is what it says.
        policies: In the order of the table.
        begin: The first version is trained as of it.
        choose_until: A policy is chosen before it, and reported on behind it.
        end: Rows from then on are not there.
        folder: Where history and fits are kept.
        processes: Fits at once, each of one thread.
        most: Trainings that the recommended policy may make; None: as many as it likes.
        only_servable: Whether it must be one that can be served as things stand.
    """

    file: Path
    use_case: UseCase
    policies: Sequence[Policy]
    begin: datetime
    choose_until: datetime
    end: datetime
    folder: Path
    processes: int = 1
    most: int | None = None
    only_servable: bool = False

    def __post_init__(self) -> None:
        """Refuse times out of order."""
        if not self.begin < self.choose_until < self.end:
            raise UsageError(
                f"The times {self.begin:%Y-%m-%d} (--from), {self.choose_until:%Y-%m-%d} (--choose-until) and "
                f"{self.end:%Y-%m-%d} (--to) must follow each other. Correct them."
            )


@dataclass(frozen=True)
class Outcome:
    """What a backtest found."""

    plan: Plan
    scores: Scores
    choose: Part
    report: Part
    family: str
    params: dict[str, object]

    @property
    def costs(self) -> Costs | None:
        """What wrong decisions cost, where a policy's costs can be told."""
        return self.plan.use_case.evaluate.costs if self.plan.use_case.task == "binary" else None

    @cached_property
    def recommendation(self) -> Recommendation:
        """The policy that the earlier part speaks for, and what it did on the later one."""
        plan = self.plan
        return self.scores.recommend(self.choose, self.report, plan.most, only_servable=plan.only_servable)


def run(plan: Plan, told: Callable[[bool], None] = lambda _: None) -> Outcome:
    """Replay all policies.

    Args:
        plan: What is replayed.
        told: Called after each fit, from several threads, with whether it was made now.

    Raises:
        FlywheelError: The data is not as declared, or a fit fails.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    data = plan.folder / history_name(plan)
    # Labels of the last rows are known a while after the end.
    known = plan.end + plan.use_case.data.label.available_after
    encode(plan.file, known.isoformat(), data, plan.begin.isoformat())
    history = open_history(data, plan.use_case.data.label.available_after)
    check_span(history, plan)
    with TrainingProcesses(plan.file, data, plan.processes) as trainer:
        return run_on(plan, history, trainer, told)


def history_name(plan: Plan) -> str:
    """Name the folder of the encoded history by what it was made of, as far as files say it: not by the source."""
    said = plan.file.read_bytes() + (plan.file.parent / plan.use_case.features).read_bytes()
    return f"history-to-{plan.end:%Y%m%dT%H%M}-{hashlib.sha256(said).hexdigest()[:12]}"


def run_on(plan: Plan, history: History, trainer: Trainer, told: Callable[[bool], None]) -> Outcome:
    """Replay all policies on a history, with whoever trains."""
    family, params = trainer.tune(*first_split(history, plan))
    fits = Fits(trainer, plan.folder / "fits", history.digest, told)
    scene = Scene(history, plan.use_case, plan.begin, plan.end, family, params, fits)
    # Threads only wait: the fits are made by the trainer's processes.
    with ThreadPoolExecutor(max(1, plan.processes)) as pool:
        waiting = [pool.submit(replay, scene, policy) for policy in plan.policies]
        try:
            replayed: list[Replayed] = [one.result() for one in waiting]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    choose = Part.between("choose", history, plan.begin, plan.choose_until)
    report = Part.between("report", history, plan.choose_until, plan.end)
    scores = Scores(history, replayed, choose.start, plan.use_case.evaluate.costs)
    return Outcome(plan, scores, choose, report, family, params)


def first_split(history: History, plan: Plan) -> tuple[int, tuple[int, int]]:
    """Return where the first training's rows end, and its validation: the newest rows known at the beginning."""
    known = history.known(plan.begin)
    cut = moment(int(history.time[known - 1])) - plan.use_case.train.validation
    return history.known(cut), (history.place(cut), known)


def check_span(history: History, plan: Plan) -> None:
    """Refuse a span without rows before, between or behind its times.

    Raises:
        UsageError: Says what history there is.
    """
    first, last = moment(int(history.time[0])), moment(int(history.time[-1]))
    if plan.end > last + BEYOND:
        raise UsageError(
            f"Labelled rows go from {first:%Y-%m-%d} to {last:%Y-%m-%d}, and --to {plan.end:%Y-%m-%d} lies behind. "
            "Lower it."
        )
    places = [history.place(at) for at in (plan.begin, plan.choose_until, plan.end)]
    if first + plan.use_case.train.validation >= plan.begin or not places[0] < places[1] < places[2]:
        raise UsageError(
            f"Labelled rows go from {first:%Y-%m-%d} to {last:%Y-%m-%d}. --from must lie more than the validation "
            f"({plan.use_case.train.validation.days} days) behind the first, and rows on both sides of --choose-until."
        )
