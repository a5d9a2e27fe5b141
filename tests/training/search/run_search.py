"""A search as a process, to be killed: `python -m tests.training.search.run_search FOLDER URL WORKERS TRIALS`."""

import json
import sys
from pathlib import Path

from tests.training.tiny_dataset import planned, usecase, write
from training.search.search import search
from training.search.trial import TrialReport

HERE = Path(__file__).parent


def say(document: dict[str, object]) -> None:
    """Print one line for the test that reads this process."""
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Search with the gated family; print a line a trial, then the result."""
    folder, url = Path(sys.argv[1]), sys.argv[2]
    case = usecase(families=["gated_family.py"])
    dataset = write(folder, case)
    plan = planned(HERE, case, dataset, workers=int(sys.argv[3]), trials=int(sys.argv[4]))

    def report(trial: TrialReport) -> None:
        say({"trial": trial.number, "state": trial.state})

    found = search(plan, dataset, url, report)
    say({"study": found.study, "trials": len(found.trials), "value": found.value})


if __name__ == "__main__":
    main()
