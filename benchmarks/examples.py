"""Does tuning pay? For each example, the tuned model against untuned ones and a trivial one, on later rows.

Splits an example's rows as training does, searches as `train` in its use case says, and fits on the same training rows
each family as its library ships it. All are judged on the test rows, which lie after everything that any of them saw.
The untuned model that counts is the one that a careful person would take: the best of them on validation. A gain is
how much better the tuned model's metric is, with an interval from resampled days; a goal's value is its lower end.

    python -m benchmarks.examples [NAME …] [--trials N] [--json FILE]

The table of a run stands in benchmarks/README.md.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from flywheel.goals import Goal, goal, write_goals
from flywheel.statistics import Floats
from flywheel.usecase import UseCase, load_usecase
from training.data.dataset import Dataset, Rows
from training.data.encoding import write_dataset
from training.data.features import load_features
from training.data.split import split
from training.evaluation.baseline import baseline_prediction
from training.evaluation.bootstrap import Bootstrap, Scores, draw
from training.evaluation.clusters import cluster
from training.evaluation.report import Interval
from training.families.catalogue import choose_families
from training.families.protocol import Params
from training.metrics import Metric, choose_metric
from training.packaging.model_code import predict_matrix
from training.search.plan import make_plan
from training.search.search import search
from training.search.trial import fit
from training.sources.rows import input_columns, load_rows

EXAMPLES = Path(__file__).parents[1] / "examples"
THREADS = 2
RESAMPLES = 2000

# What XGBoost 3.2 and scikit-learn 1.9 do when they are told nothing, in the families' words.
UNTUNED: dict[str, Params] = {
    "xgboost": {
        "trees": 100,
        "max_depth": 6,
        "learning_rate": 0.3,
        "min_child_weight": 1.0,
        "subsample": 1.0,
        "colsample": 1.0,
        "l2": 1.0,
    },
    "hist_gradient_boosting": {
        "trees": 100,
        "learning_rate": 0.1,
        "max_leaf_nodes": 31,
        "min_samples_leaf": 20,
        "l2": 0.0,
        "max_features": 1.0,
    },
    "linear": {"penalty": "ridge", "alpha": 1.0},
    "logistic": {"penalty": "l2", "C": 1.0},
}


@dataclass(frozen=True)
class Case:
    """One example and how much time after its use case's `train.until` judges it; None: its own test part does."""

    name: str
    beyond: timedelta | None = None


# The flights' test part is three weeks, as short as the demo wants it; two months say more.
CASES = (Case("flights", timedelta(days=60)), Case("airports"), Case("laguardia"))


@dataclass(frozen=True)
class Judged:
    """One model on the test rows: its metric on validation (None for the trivial one) and its scores."""

    name: str
    validation: float | None
    scores: Scores


def prepare(case: Case) -> tuple[UseCase, datetime]:
    """Return the use case as it is measured and the time (naive UTC) as of which its data is taken."""
    usecase = load_usecase(EXAMPLES / case.name / "usecase.yaml")
    if usecase.train.until is None:
        raise SystemExit(f"Example {case.name} says no train.until.")
    if case.beyond is None:
        return usecase, usecase.train.until
    train = usecase.train.model_copy(update={"test": case.beyond})
    as_of = usecase.train.until + case.beyond + usecase.data.label.available_after
    return usecase.model_copy(update={"train": train}), as_of


def encode(usecase: UseCase, home: Path, as_of: datetime, folder: Path) -> Dataset:
    """Read, split and encode the rows into `folder`."""
    made = split(load_rows(usecase.data, home, as_of, usecase.task), usecase, as_of)
    features = load_features(home / usecase.features)(made.rows.select(input_columns(made.rows, usecase.data)))
    return write_dataset(folder, features, made, usecase.task)


def tune(usecase: UseCase, home: Path, as_of: datetime, dataset: Dataset, trials: int | None) -> tuple[str, Params]:
    """Search in a database of its own; return the family and the parameters found."""
    plan = make_plan(usecase, home, dataset, as_of=as_of, trials=trials)
    found = search(plan, dataset, f"sqlite:///{dataset.folder}/optuna.db", lambda report: None)
    return found.family.name, found.params


class Bench:
    """Fits models of one example on its training rows and judges them on its test rows."""

    def __init__(self, usecase: UseCase, home: Path, dataset: Dataset) -> None:
        self._families = {family.name: family for family in choose_families(usecase.train.families, usecase.task, home)}
        self._dataset = dataset
        self._seed = usecase.train.seed
        self.metric: Metric = choose_metric(usecase.task, usecase.train.metric)
        time_of_test = dataset.test.take(dataset.time) // (24 * 3600 * 1_000_000)
        self.bootstrap: Bootstrap = draw(cluster(time_of_test, self._seed), RESAMPLES, self._seed)

    @property
    def families(self) -> list[str]:
        """Name the families that the use case searches."""
        return list(self._families)

    def judge(self, name: str, family: str, params: Params) -> Judged:
        """Fit on the training rows and score."""
        data, fold = self._dataset, self._dataset.folds[-1]
        fitted = fit(self._families[family], params, data, fold.train, seed=self._seed, threads=THREADS)
        known = self._ask(fitted.model, fold.validation)
        validation = self.metric.measure(fold.validation.take(data.label), known)
        return Judged(name, validation, self._scores(self._ask(fitted.model, data.test)))

    def judge_baseline(self) -> Judged:
        """Score the model that knows nothing but the training labels."""
        data = self._dataset
        label = data.folds[-1].train.take(data.label)
        return Judged(
            "baseline", None, self._scores(baseline_prediction(data.task, label, data.n_classes, len(data.test)))
        )

    def _ask(self, model: Any, rows: Rows) -> Floats:
        return predict_matrix(model, rows.take(self._dataset.matrix), self._dataset.task)

    def _scores(self, prediction: Floats) -> Scores:
        data = self._dataset
        only = (self.metric.name,)
        return self.bootstrap.scores(data.task, data.test.take(data.label), prediction, only=only)


def measure(case: Case, trials: int | None) -> list[dict[str, Any]]:
    """Measure one example: rows of the table, the baseline first, the tuned model last."""
    usecase, as_of = prepare(case)
    home = EXAMPLES / case.name
    with tempfile.TemporaryDirectory() as folder:
        dataset = encode(usecase, home, as_of, Path(folder) / "dataset")
        bench = Bench(usecase, home, dataset)
        began = time.monotonic()
        family, params = tune(usecase, home, as_of, dataset, trials)
        seconds = time.monotonic() - began
        untuned = [bench.judge(name, name, UNTUNED[name]) for name in bench.families]
        tuned = bench.judge(f"tuned: {family}", family, params)
        models = [bench.judge_baseline(), *untuned, tuned]
        best = min(untuned, key=lambda model: _rank(model, bench.metric))
        facts = {
            "example": case.name,
            "metric": bench.metric.name,
            "test_rows": len(dataset.test),
            "test_days": bench.bootstrap.clusters.count,
        }
        rows = [facts | _row(model, tuned, bench.metric) | {"counts": model is best} for model in models]
    rows[-1] |= {"search_seconds": round(seconds, 1), "params": dict(params)}
    return rows


def _rank(model: Judged, metric: Metric) -> float:
    value = model.validation or 0.0
    return value if metric.less_is_better else -value


def _row(model: Judged, tuned: Judged, metric: Metric) -> dict[str, Any]:
    own = model.scores.interval(metric.name)
    row = {"model": model.name, "validation": _round(model.validation), "test": _shown(own)}
    if model is tuned:
        return row
    first, second = (model, tuned) if metric.less_is_better else (tuned, model)
    return row | {"gain": _shown(first.scores.difference(metric.name, second.scores))}


def _shown(interval: Interval) -> list[float | None]:
    return [_round(interval.value), _round(interval.low), _round(interval.high)]


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def goals_of(rows: list[dict[str, Any]]) -> list[Goal]:
    """Hold the lower end of each gain over the untuned model that counts against zero."""
    return [
        goal(f"{row['example'].replace('-', '_')}_tuned_gain", row["gain"][1], ">", 0) for row in rows if row["counts"]
    ]


def show(rows: list[dict[str, Any]]) -> None:
    """Print the table of one example."""
    first, last = rows[0], rows[-1]
    print(
        f"{first['example']}: {first['metric']} on {first['test_rows']:,} later rows of {first['test_days']} days;",
        end=" ",
    )
    print(f"search {last['search_seconds']} s; {last['params']}")
    for row in rows:
        validation = f"{row['validation']:.4f}" if row["validation"] is not None else ""
        gain = "{:+.4f} ({:+.4f} to {:+.4f})".format(*row["gain"]) if "gain" in row else ""
        mark = " <- counts" if row["counts"] else ""
        test = "{:.4f} ({:.4f} to {:.4f})".format(*row["test"])
        print(f"  {row['model']:32}{validation:>10}{test:>30}{gain:>34}{mark}")


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description="Tuned against untuned, on the examples.")
    parser.add_argument("names", nargs="*", help="examples; all by default")
    parser.add_argument("--trials", type=int, help="instead of what the use cases say")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    rows = []
    for case in CASES:
        if not options.names or case.name in options.names:
            measured = measure(case, options.trials)
            show(measured)
            rows += measured
    if options.json:
        write_goals(options.json, goals_of(rows), rows)


if __name__ == "__main__":
    main()
