"""Which retraining policy pays on a year of flights? Chosen on April to July, reported on August to December.

    python -m benchmarks.flights_backtest [--json FILE] [--plot FILE] [--folder FOLDER] [--processes N] [--quick]

The first version is trained as of April 1 on January to March; every policy has the same features and parameters, sees
a label a day after its flight, and is decided by the functions that run live. Trainings are counted from April on, the
first one apart; each is one fit. A recalibration is replayed as it is served, learned from the newest version's own
answers. With --folder a run that was ended goes on where it was.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from flywheel.goals import Goal, goal, write_goals
from flywheel.monitor_spec import Recalibrate
from flywheel.usecase import load_usecase
from monitoring.backtest.plot import draw
from monitoring.backtest.policies import Ensemble, Policy, calendar, long_and_short, standard
from monitoring.backtest.progress import FitProgress
from monitoring.backtest.run import Outcome, Plan, run
from monitoring.backtest.table import document, show
from monitoring.retraining.recalibration import Recalibration

USE_CASE = Path(__file__).parents[1] / "examples" / "flights" / "usecase.yaml"
BEGIN, CHOOSE_UNTIL, END = datetime(2013, 4, 1), datetime(2013, 8, 1), datetime(2014, 1, 1)
QUICK_UNTIL, QUICK_END = datetime(2013, 5, 1), datetime(2013, 6, 1)
MOST = 15
PACE = 18  # days: 275 of them hold 15 trainings
RECENT = 60  # days, of the short memory


def policies(own: Mapping[str, Policy]) -> list[Policy]:
    """Return what is compared: the calendar, the use case's own rule, and what keeps to the budget's pace."""
    pace, daily = calendar(PACE), Recalibration.of(Recalibrate())
    names = ("never", "monthly", "weekly", "harm")
    return [
        *(own[name] for name in names),
        Policy(f"every {PACE} days", pace),
        Policy(
            f"every {PACE} days, weighted",
            pace.model_copy(update={"rows": "weighted", "half_life": timedelta(days=RECENT)}),
        ),
        Policy(
            f"every {PACE} days, sliding", pace.model_copy(update={"rows": "sliding", "length": timedelta(days=RECENT)})
        ),
        Policy(f"every {PACE} days, since the change", pace.model_copy(update={"rows": "change_point"})),
        Policy(f"every {PACE} days, adaptive ensemble", pace, Ensemble(members=4, newcomer=0.5)),
        Policy(f"every {PACE} days, long and short", pace, long_and_short(pace, RECENT)),
        Policy(f"every {PACE} days, recalibrated", pace, recalibration=daily),
        Policy(f"every {PACE} days, long and short, recalibrated", pace, long_and_short(pace, RECENT), daily),
        # What the recalibration does by itself, and with as many trainings as there are weeks.
        Policy("never, recalibrated", own["never"].retrain, recalibration=daily),
        Policy("weekly, recalibrated", own["weekly"].retrain, recalibration=daily),
    ]


def main() -> None:
    """Replay the year, print the table, and write figures and plot."""
    options = _parse()
    began = time.monotonic()
    if options.folder is not None:
        outcome = replayed(options.folder, options.processes, quick=options.quick)
    else:
        with tempfile.TemporaryDirectory(prefix="flights-backtest-") as folder:
            outcome = replayed(Path(folder), options.processes, quick=options.quick)
    goals = measured_goals(outcome)
    show(outcome)
    for one in goals:
        print(f"{one.name:24} {one.value:8.3f} {one.comparison} {one.target:g}  {'met' if one.met else 'NOT MET'}")
    print(f"took {time.monotonic() - began:.0f} s")
    if options.json:
        write_goals(options.json, goals, rows(outcome))
    if options.plot:
        draw(outcome, options.plot)


def replayed(folder: Path, processes: int, *, quick: bool) -> Outcome:
    """Replay all policies over the year, or over its first two months."""
    use_case = load_usecase(USE_CASE)
    until, end = (QUICK_UNTIL, QUICK_END) if quick else (CHOOSE_UNTIL, END)
    chosen = policies(standard(use_case.monitor.retrain))
    times = (BEGIN, until, end)
    # What cannot be served is measured, and not recommended.
    plan = Plan(USE_CASE, use_case, chosen, *times, folder, processes=processes, most=MOST, only_servable=True)
    with FitProgress() as told:
        return run(plan, told)


def measured_goals(outcome: Outcome) -> list[Goal]:
    """Hold the recommended policy against what is promised."""
    found = outcome.recommendation
    trainings = len(outcome.scores.replayed[found.policy].retrainings)
    return [
        goal("share_of_weekly_gain", found.share if found.share is not None else float("nan"), ">=", 0.9),
        goal("trainings", float(trainings), "<=", MOST),
    ]


def rows(outcome: Outcome) -> list[dict[str, Any]]:
    """Return one row a policy."""
    found: list[dict[str, Any]] = document(outcome)["policies"]
    return found


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--plot", type=Path, help="draw losses, trainings and costs into this PNG")
    parser.add_argument("--folder", type=Path, help="keep history and fits here")
    parser.add_argument("--processes", type=int, default=1, help="fits at once")
    parser.add_argument("--quick", action="store_true", help="April and May only")
    return parser.parse_args()


if __name__ == "__main__":
    main()
